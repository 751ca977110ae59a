CREATE TABLE "hooks" (
	"id" varchar(32) PRIMARY KEY NOT NULL,
	"provider" varchar(32) NOT NULL,
	"name" varchar(64) NOT NULL,
	"credentials" jsonb NOT NULL,
	"is_trial" boolean NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE UNIQUE INDEX "hooks_live_name_key" ON "hooks" USING btree ("name") WHERE "hooks"."revoked_at" IS NULL;