import type { SpanKind } from '@opentelemetry/api'
import {
  type Attributes,
  type Context,
  isSpanContextValid,
  type Link,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import {
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  type SamplingResult,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace'

/** Spans of a BullMQ worker's polling. It never stops, so they would outnumber all others. */
const HOUSEKEEPING = /^(getNextJob|startStalledCheckTimer|moveStalledJobsToWait) /

/**
 * Keeps a share of the traces that begin in this process and follows the caller's decision for all others. A batch
 * without a parent is kept when any span it links to is kept, so a kept request never links to a dropped batch.
 */
export class BatchSampler implements Sampler {
  readonly #inner: Sampler

  /** @param share from 0 to 1 */
  constructor(share: number) {
    this.#inner = new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) })
  }

  shouldSample(
    context: Context,
    traceId: string,
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    links: Link[],
  ): SamplingResult {
    if (HOUSEKEEPING.test(name)) return { decision: SamplingDecision.NOT_RECORD }
    const parent = trace.getSpanContext(context)
    const isRoot = parent === undefined || !isSpanContextValid(parent)
    if (isRoot && links.length > 0) {
      const kept = links.some((link) => (link.context.traceFlags & TraceFlags.SAMPLED) !== 0)
      return { decision: kept ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD }
    }
    return this.#inner.shouldSample(context, traceId, name, kind, attributes, links)
  }

  toString(): string {
    return `BatchSampler{${this.#inner.toString()}}`
  }
}
