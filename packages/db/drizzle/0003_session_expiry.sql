DROP INDEX "refresh_tokens_session_id_idx";--> statement-breakpoint
CREATE INDEX "refresh_tokens_session_id_rotated_at_idx" ON "refresh_tokens" USING btree ("session_id","rotated_at");--> statement-breakpoint
CREATE INDEX "sessions_expires_at_idx" ON "sessions" USING btree ("expires_at");