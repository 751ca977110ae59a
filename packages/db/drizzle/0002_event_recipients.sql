ALTER TABLE "notification_status" ADD COLUMN "category" varchar(64);--> statement-breakpoint
ALTER TABLE "notification_status" ADD COLUMN "recipient_digest" "bytea";