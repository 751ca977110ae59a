/*
 * The commands of the README of the service that Tidings replaces, as they stand there: they must go on
 * working. `<token>` is left for the caller to fill in.
 */

export const SEED_HEALTH = 'curl http://localhost:8001/health/'

export const SEED_REGISTER = `curl -X POST http://localhost:8001/api/v1/users/ \\
  -H "Content-Type: application/json" \\
  -d '{
    "name": "Test User",
    "email": "test@example.com",
    "password": "securepass123",
    "preferences": {"email": true, "push": true}
  }'`

export const SEED_STATUS = `curl -X POST http://localhost:8001/api/v1/email/status/ \\
  -H "Authorization: Bearer <token>" \\
  -d '{"notification_id": "notif-123", "status": "delivered"}'`
