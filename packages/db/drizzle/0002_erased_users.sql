CREATE TABLE "erased_users" (
	"user_digest" "bytea" PRIMARY KEY NOT NULL,
	"erased_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
