CREATE TABLE "categories" (
	"key" varchar(64) PRIMARY KEY NOT NULL,
	"default" boolean DEFAULT true NOT NULL,
	"required" boolean DEFAULT false NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
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
ALTER TABLE "notification_status" ADD COLUMN "feedback" boolean;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "category_choices" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "suppressions_key" ON "suppressions" USING btree ("channel","recipient_digest","category","reason");--> statement-breakpoint
CREATE INDEX "suppressions_since_id_idx" ON "suppressions" USING btree ("since","id");--> statement-breakpoint
CREATE INDEX "notification_status_feedback_idx" ON "notification_status" USING btree ("recipient_digest","timestamp") WHERE "notification_status"."feedback" AND "notification_status"."status" IN ('delivered', 'failed', 'bounced');