-- Keeps out writes until the column is gone, so that no token is lost. Reads go on.
LOCK TABLE "users" IN EXCLUSIVE MODE;--> statement-breakpoint
-- Of several users with one token, the one that changed last has the device now.
INSERT INTO "devices" ("user_id", "device_id", "token", "token_digest", "created_at", "last_seen_at")
SELECT DISTINCT ON (sha256(convert_to("push_token", 'UTF8')))
	"id", 'default', "push_token", sha256(convert_to("push_token", 'UTF8')), "updated_at", "updated_at"
FROM "users" WHERE "push_token" <> ''
ORDER BY sha256(convert_to("push_token", 'UTF8')), "updated_at" DESC, "id"
ON CONFLICT DO NOTHING;--> statement-breakpoint
ALTER TABLE "users" DROP COLUMN "push_token";
