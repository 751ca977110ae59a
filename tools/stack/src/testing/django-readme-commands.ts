/*
 * The commands in the README of the Django service that Tidings replaces, unchanged: they must go on working. The caller
 * replaces `<token>`.
 */

export const README_HEALTH = 'curl http://localhost:8001/health/'

export const README_REGISTER = `curl -X POST http://localhost:8001/api/v1/users/ \\
  -H "Content-Type: application/json" \\
  -d '{
    "name": "Test User",
    "email": "test@example.com",
    "password": "securepass123",
    "preferences": {"email": true, "push": true}
  }'`

export const README_STATUS = `curl -X POST http://localhost:8001/api/v1/email/status/ \\
  -H "Authorization: Bearer <token>" \\
  -d '{"notification_id": "notif-123", "status": "delivered"}'`
