DROP INDEX "notification_status_notification_id_idx";--> statement-breakpoint
ALTER TABLE "notification_status" ADD COLUMN "category" varchar(64);--> statement-breakpoint
ALTER TABLE "notification_status" ADD COLUMN "recipient_digest" "bytea";--> statement-breakpoint
CREATE INDEX "notification_status_timestamp_idx" ON "notification_status" USING btree ("timestamp","id");--> statement-breakpoint
CREATE INDEX "notification_status_recipient_idx" ON "notification_status" USING btree ("recipient_digest","timestamp","id") WHERE "notification_status"."recipient_digest" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "notification_status_provider_message_id_idx" ON "notification_status" USING btree ("provider_message_id" text_pattern_ops) WHERE "notification_status"."provider_message_id" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "notification_status_error_code_idx" ON "notification_status" USING btree ("error_code" text_pattern_ops,"timestamp","id") WHERE "notification_status"."error_code" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "notification_status_notification_id_idx" ON "notification_status" USING btree ("notification_id" text_pattern_ops,"notification_type","user_id");