CREATE TYPE "public"."notification_status_name" AS ENUM('pending', 'sent', 'deferred', 'delivered', 'failed', 'bounced', 'suppressed', 'complained', 'opened', 'clicked', 'unsubscribed');--> statement-breakpoint
CREATE TYPE "public"."notification_type" AS ENUM('email', 'push');--> statement-breakpoint
CREATE TABLE "erased_users" (
	"user_digest" "bytea" PRIMARY KEY NOT NULL,
	"erased_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "event_outbox" (
	"id" uuid PRIMARY KEY NOT NULL,
	"event" jsonb NOT NULL,
	"why" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "ingest_counters" (
	"name" varchar(16) PRIMARY KEY NOT NULL,
	"value" bigint DEFAULT 0 NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "notification_status" (
	"id" uuid PRIMARY KEY NOT NULL,
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
	"metadata" jsonb
);
--> statement-breakpoint
CREATE TABLE "operator_audit" (
	"id" uuid PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"actor" varchar(255) NOT NULL,
	"action" varchar(64) NOT NULL,
	"selector" jsonb NOT NULL,
	"matched" integer NOT NULL,
	"changed" integer NOT NULL,
	"result" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "service_keys" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" varchar(64) NOT NULL,
	"key_hash" "bytea" NOT NULL,
	"prefix" varchar(16) NOT NULL,
	"scopes" text[] NOT NULL,
	"events_per_second" integer,
	"burst" integer,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "refresh_tokens" (
	"token_hash" "bytea" PRIMARY KEY NOT NULL,
	"session_id" uuid NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"rotated_at" timestamp (3) with time zone,
	"rotation_nonce" "bytea"
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"id" uuid PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL,
	"user_agent" varchar(255),
	"ip" "inet",
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"revoked_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" uuid PRIMARY KEY NOT NULL,
	"email" varchar(254) NOT NULL,
	"name" varchar(255) NOT NULL,
	"password" text NOT NULL,
	"push_token" text,
	"email_notifications" boolean DEFAULT true NOT NULL,
	"push_notifications" boolean DEFAULT true NOT NULL,
	"is_active" boolean DEFAULT true NOT NULL,
	"last_login_at" timestamp (3) with time zone,
	"legacy_tokens_ended_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "users_email_not_empty" CHECK ("users"."email" <> '')
);
--> statement-breakpoint
ALTER TABLE "notification_status" ADD CONSTRAINT "notification_status_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "refresh_tokens" ADD CONSTRAINT "refresh_tokens_session_id_sessions_id_fk" FOREIGN KEY ("session_id") REFERENCES "public"."sessions"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "notification_status_notification_id_idx" ON "notification_status" USING btree ("notification_id","notification_type","user_id");--> statement-breakpoint
CREATE INDEX "notification_status_user_id_timestamp_idx" ON "notification_status" USING btree ("user_id","timestamp","id");--> statement-breakpoint
CREATE UNIQUE INDEX "service_keys_key_hash_key" ON "service_keys" USING btree ("key_hash");--> statement-breakpoint
CREATE INDEX "service_keys_name_idx" ON "service_keys" USING btree ("name");--> statement-breakpoint
CREATE INDEX "refresh_tokens_session_id_rotated_at_idx" ON "refresh_tokens" USING btree ("session_id","rotated_at");--> statement-breakpoint
CREATE INDEX "sessions_user_id_idx" ON "sessions" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "sessions_expires_at_idx" ON "sessions" USING btree ("expires_at");--> statement-breakpoint
CREATE UNIQUE INDEX "users_email_key" ON "users" USING btree (lower("email"));--> statement-breakpoint
CREATE INDEX "users_created_at_id_idx" ON "users" USING btree ("created_at","id");