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
CREATE TABLE "status_counts" (
	"hour" timestamp (3) with time zone NOT NULL,
	"notification_type" "notification_type" NOT NULL,
	"status" "notification_status_name" NOT NULL,
	"source" varchar(255) NOT NULL,
	"provider" varchar(128) NOT NULL,
	"category" varchar(64) NOT NULL,
	"error_class" varchar(16) NOT NULL,
	"slot" smallint NOT NULL,
	"count" bigint NOT NULL,
	CONSTRAINT "status_counts_pkey" PRIMARY KEY("hour","notification_type","status","source","provider","category","error_class","slot")
);
--> statement-breakpoint
DROP INDEX "notification_status_notification_id_idx";--> statement-breakpoint
ALTER TABLE "devices" ADD COLUMN "invalid_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "notification_status" ADD COLUMN "category" varchar(64);--> statement-breakpoint
ALTER TABLE "notification_status" ADD COLUMN "recipient_digest" "bytea";--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "category_choices" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
CREATE INDEX "failed_deliveries_at_idx" ON "failed_deliveries" USING btree ("at");--> statement-breakpoint
CREATE UNIQUE INDEX "suppressions_key" ON "suppressions" USING btree ("channel","recipient_digest","category","reason");--> statement-breakpoint
CREATE INDEX "suppressions_since_id_idx" ON "suppressions" USING btree ("since","id");--> statement-breakpoint
CREATE INDEX "notification_status_timestamp_idx" ON "notification_status" USING btree ("timestamp","id");--> statement-breakpoint
CREATE INDEX "notification_status_recipient_idx" ON "notification_status" USING btree ("recipient_digest","timestamp","id") WHERE "notification_status"."recipient_digest" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "notification_status_provider_message_id_idx" ON "notification_status" USING btree ("provider_message_id" text_pattern_ops) WHERE "notification_status"."provider_message_id" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "notification_status_error_code_idx" ON "notification_status" USING btree ("error_code" text_pattern_ops,"timestamp","id") WHERE "notification_status"."error_code" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "notification_status_received_at_idx" ON "notification_status" USING brin ("received_at") WITH (autosummarize=true,pages_per_range=32);--> statement-breakpoint
CREATE INDEX "notification_status_notification_id_idx" ON "notification_status" USING btree ("notification_id" text_pattern_ops,"notification_type","user_id");--> statement-breakpoint
-- The events before this table. Imported logs were not reported, and probes are not counted.
INSERT INTO "status_counts" ("hour", "notification_type", "status", "source", "provider", "category", "error_class", "slot", "count")
SELECT date_trunc('hour', "received_at", 'UTC'), "notification_type", "status", "source", coalesce("provider", ''), coalesce("category", ''), coalesce("error_class", ''), 0, count(*)
FROM "notification_status" WHERE "source" NOT IN ('django', 'tidings-probe') GROUP BY 1, 2, 3, 4, 5, 6, 7;
