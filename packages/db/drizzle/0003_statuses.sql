-- Generated: suppressions, categories, statistics.
CREATE TABLE "categories" (
	"key" varchar(64) PRIMARY KEY NOT NULL,
	"default" boolean DEFAULT true NOT NULL,
	"required" boolean DEFAULT false NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);--> statement-breakpoint
CREATE TABLE "failed_deliveries" (
	"channel" "notification_type" NOT NULL,
	"recipient_digest" "bytea" NOT NULL,
	"attempt_digest" "bytea" NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "failed_deliveries_channel_recipient_digest_attempt_digest_pk" PRIMARY KEY("channel","recipient_digest","attempt_digest")
);--> statement-breakpoint
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
);--> statement-breakpoint
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
);--> statement-breakpoint
ALTER TABLE "devices" ADD COLUMN "invalid_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "category_choices" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
CREATE INDEX "failed_deliveries_at_idx" ON "failed_deliveries" USING btree ("at");--> statement-breakpoint
CREATE UNIQUE INDEX "suppressions_key" ON "suppressions" USING btree ("channel","recipient_digest","category","reason");--> statement-breakpoint
CREATE INDEX "suppressions_since_id_idx" ON "suppressions" USING btree ("since","id");--> statement-breakpoint
-- Written by hand from here: drizzle-kit knows no partitions. It moves all rows into a table that is partitioned by
-- month. It needs as much free space as the table has.
ALTER TABLE "notification_status" RENAME TO "notification_status_unpartitioned";--> statement-breakpoint
ALTER INDEX "notification_status_notification_id_idx" RENAME TO "notification_status_unpartitioned_idx1";--> statement-breakpoint
ALTER INDEX "notification_status_user_id_timestamp_idx" RENAME TO "notification_status_unpartitioned_idx2";--> statement-breakpoint
CREATE TABLE "event_keys" (
	"id" uuid NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	"content_hash" "bytea"
);--> statement-breakpoint
CREATE TABLE "notification_status" (
	"id" uuid NOT NULL,
	"user_id" uuid,
	"timestamp" timestamp (3) with time zone NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	"notification_type" "notification_type" NOT NULL,
	"status" "notification_status_name" NOT NULL,
	"attempt" integer,
	"notification_id" varchar(255) NOT NULL,
	"source" varchar(255) NOT NULL,
	"error" text,
	"error_code" varchar(128),
	"error_class" varchar(16),
	"event_id" varchar(128),
	"content_hash" "bytea",
	"provider" varchar(128),
	"provider_message_id" varchar(255),
	"category" varchar(64),
	"recipient_digest" "bytea",
	"metadata" jsonb
) PARTITION BY RANGE ("received_at");--> statement-breakpoint
CREATE TABLE "notification_status_default" PARTITION OF "notification_status" DEFAULT;--> statement-breakpoint
-- A partition for each month that has rows, for this month and for the next two. Rows of an impossible time go to the
-- default partition. Months are those of UTC.
DO $$
DECLARE
	this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
	first_day timestamp;
BEGIN
	FOR first_day IN
		SELECT date_trunc('month', "received_at" AT TIME ZONE 'UTC') FROM "notification_status_unpartitioned"
			WHERE "received_at" >= (this_month - interval '10 years') AT TIME ZONE 'UTC'
				AND "received_at" < (this_month + interval '3 months') AT TIME ZONE 'UTC'
		UNION SELECT generate_series(this_month, this_month + interval '2 months', interval '1 month')
	LOOP
		EXECUTE format('CREATE TABLE %I PARTITION OF "notification_status" FOR VALUES FROM (%L) TO (%L)',
			'notification_status_' || to_char(first_day, 'YYYY_MM'),
			first_day AT TIME ZONE 'UTC', (first_day + interval '1 month') AT TIME ZONE 'UTC');
	END LOOP;
END $$;--> statement-breakpoint
INSERT INTO "notification_status" ("id", "user_id", "timestamp", "received_at", "notification_type", "status", "attempt",
	"notification_id", "source", "error", "error_code", "error_class", "event_id", "content_hash", "provider",
	"provider_message_id", "metadata")
SELECT "id", "user_id", "timestamp", "received_at", "notification_type", "status", "attempt", "notification_id", "source",
	"error", "error_code", "error_class", "event_id", "content_hash", "provider", "provider_message_id",
	"metadata" FROM "notification_status_unpartitioned";--> statement-breakpoint
INSERT INTO "event_keys" ("id", "received_at", "content_hash")
SELECT "id", "received_at", "content_hash" FROM "notification_status_unpartitioned";--> statement-breakpoint
-- The events before this table. Imported logs were not reported, and probes are not counted.
INSERT INTO "status_counts" ("hour", "notification_type", "status", "source", "provider", "category", "error_class", "slot", "count")
SELECT date_trunc('hour', "received_at", 'UTC'), "notification_type", "status", "source", coalesce("provider", ''), '', coalesce("error_class", ''), 0, count(*)
FROM "notification_status_unpartitioned" WHERE "source" NOT IN ('django', 'tidings-probe') GROUP BY 1, 2, 3, 4, 5, 6, 7;--> statement-breakpoint
DROP TABLE "notification_status_unpartitioned";--> statement-breakpoint
ALTER TABLE "event_keys" ADD PRIMARY KEY ("id");--> statement-breakpoint
ALTER TABLE "notification_status" ADD CONSTRAINT "notification_status_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "notification_status_timestamp_idx" ON "notification_status" USING btree ("timestamp","id");--> statement-breakpoint
CREATE INDEX "notification_status_recipient_idx" ON "notification_status" USING btree ("recipient_digest","timestamp","id") WHERE "notification_status"."recipient_digest" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "notification_status_provider_message_id_idx" ON "notification_status" USING btree ("provider_message_id" text_pattern_ops) WHERE "notification_status"."provider_message_id" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "notification_status_error_code_idx" ON "notification_status" USING btree ("error_code" text_pattern_ops,"timestamp","id") WHERE "notification_status"."error_code" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "notification_status_received_at_idx" ON "notification_status" USING brin ("received_at") WITH (autosummarize=true,pages_per_range=32);--> statement-breakpoint
CREATE INDEX "notification_status_notification_id_idx" ON "notification_status" USING btree ("notification_id" text_pattern_ops,"notification_type","user_id");--> statement-breakpoint
CREATE INDEX "notification_status_user_id_timestamp_idx" ON "notification_status" USING btree ("user_id","timestamp","id");--> statement-breakpoint
-- Not the partitions without rows: PostgreSQL would plan to read a partition that it counted as empty from end to end.
DO $$
DECLARE
	part regclass;
BEGIN
	FOR part IN
		SELECT inhrelid FROM pg_inherits WHERE inhparent = 'notification_status'::regclass AND pg_relation_size(inhrelid) > 0
		UNION SELECT 'event_keys'::regclass WHERE pg_relation_size('event_keys'::regclass) > 0
	LOOP
		EXECUTE format('ANALYZE %s', part);
	END LOOP;
END $$;
