import { ACK_REPLICAS } from './ack-replicas.ts'
import { BACKLOG } from './backlog.ts'
import { GROWTH } from './growth.ts'
import { INGEST_BATCH } from './ingest-batch.ts'
import { INGEST_SINGLE } from './ingest-single.ts'
import { LOGIN } from './login.ts'
import { READ_USER } from './read-user.ts'
import { RECEIVER } from './receiver.ts'
import { SCALE_OUT } from './scale-out.ts'
import type { Scenario } from './scenario.ts'
import { SHARDS } from './shards.ts'

export const SCENARIOS: readonly Scenario[] = [
  INGEST_SINGLE,
  INGEST_BATCH,
  RECEIVER,
  READ_USER,
  LOGIN,
  BACKLOG,
  GROWTH,
  SCALE_OUT,
  SHARDS,
  ACK_REPLICAS,
]
