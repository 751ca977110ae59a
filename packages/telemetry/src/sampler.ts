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

/** What a BullMQ worker does all the time, work or no work: spans of it would bury the others. */
const HOUSEKEEPING = /^(getNextJob|startStalledCheckTimer|moveStalledJobsToWait) /

/**
 * Keeps a share of the traces that begin here, and of others what their beginner keeps. A batch that has no
 * parent is kept when one of the spans it links to is: a kept request never points at a batch that is not.
 */
export class BatchSampler implements Sampler {
  private readonly inner: Sampler

  /** @param share 0..1 */
  constructor(share: number) {
    this.inner = new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) })
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
    return this.inner.shouldSample(context, traceId, name, kind, attributes, links)
  }

  toString(): string {
    return `BatchSampler{${this.inner.toString()}}`
  }
}
