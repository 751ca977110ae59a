CREATE TABLE "categories" (
	"key" varchar(64) PRIMARY KEY NOT NULL,
	"default" boolean DEFAULT true NOT NULL,
	"required" boolean DEFAULT false NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "failed_deliveries" (
	"channel" "notification_type" NOT NULL,
	"recipient_digest" "bytea" NOT NULL,
	"attempt_digest" "bytea" NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "failed_deliveries_channel_recipient_digest_attempt_digest_pk" PRIMARY KEY("channel","recipient_digest","attempt_digest")
);
--> statement-breakpoint
CREATE TABLE "suppressions" (
	"id" uuid PRIMARY KEY NOT NULL,
	"channel" "notification_type" NOT NULL,
	"recipient_digest" "bytea" NOT NULL,
	"category" varchar(64) DEFAULT '' NOT NULL,
	"reason" varchar(16) NOT NULL,
	"origin" varchar(255) NOT NULL,
	"event_id" uuid,
	"note" text,
	"since" timestamp (3) with time zone NOT NULL,
	"until" timestamp (3) with time zone,
	CONSTRAINT "suppressions_reason" CHECK ("suppressions"."reason" IN ('complaint', 'bounce', 'manual', 'unsubscribe'))
);
--> statement-breakpoint
ALTER TABLE "devices" ADD COLUMN "invalid_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "category_choices" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
CREATE INDEX "failed_deliveries_at_idx" ON "failed_deliveries" USING btree ("at");--> statement-breakpoint
CREATE UNIQUE INDEX "suppressions_key" ON "suppressions" USING btree ("channel","recipient_digest","category","reason");--> statement-breakpoint
CREATE INDEX "suppressions_since_id_idx" ON "suppressions" USING btree ("since","id");