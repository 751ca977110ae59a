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
CREATE INDEX "notification_status_received_at_idx" ON "notification_status" USING brin ("received_at") WITH (autosummarize=true,pages_per_range=32);--> statement-breakpoint
INSERT INTO "status_counts" ("hour", "notification_type", "status", "source", "provider", "category", "error_class", "slot", "count")
SELECT date_trunc('hour', "received_at", 'UTC'), "notification_type", "status", "source", coalesce("provider", ''), coalesce("category", ''), coalesce("error_class", ''), 0, count(*)
FROM "notification_status" WHERE "source" NOT IN ('django', 'tidings-probe') GROUP BY 1, 2, 3, 4, 5, 6, 7;
