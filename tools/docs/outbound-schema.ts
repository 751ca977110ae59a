import { renderOutboundSchema } from './render-outbound-schema.ts'

process.stdout.write(renderOutboundSchema())
