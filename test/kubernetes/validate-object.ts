import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler'
import { Job } from 'kubernetes-models/batch/v1/Job'
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget'
import { Namespace } from 'kubernetes-models/v1/Namespace'
import { Service } from 'kubernetes-models/v1/Service'
import type { KubernetesObject } from './manifests.ts'

/** A kind of object, with the validator that was made from Kubernetes' OpenAPI document or from KEDA's definition. */
interface Kind {
  apiVersion: string
  kind: string
  prototype: { validate(): void }
}

const KINDS: readonly Kind[] = [
  Deployment,
  HorizontalPodAutoscaler,
  Job,
  Namespace,
  NetworkPolicy,
  PodDisruptionBudget,
  ScaledObject,
  Service,
]

/**
 * Checks an object against the schema of its kind.
 *
 * @returns the paths of fields that the schema does not have, which Kubernetes would drop without a word.
 * @throws Error when a field has the wrong type or is missing, or when the kind is unknown.
 */
export function validateObject(object: KubernetesObject): string[] {
  const kind = KINDS.find((each) => each.apiVersion === object.apiVersion && each.kind === object.kind)
  if (kind === undefined) throw new Error(`There is no schema of ${object.apiVersion} ${object.kind}`)
  const unread = new Set<string>()
  // The validators ignore unknown fields. They read every known one, so what they leave unread is unknown.
  kind.prototype.validate.call(watchReads(object, '', unread))
  return [...unread]
}

/** A view of a value that takes the path of each field out of `unread` once it is read. */
function watchReads(value: unknown, path: string, unread: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value
  const views = new Map<string | symbol, unknown>()
  for (const [name, child] of Object.entries(value)) {
    unread.add(`${path}/${name}`)
    views.set(name, watchReads(child, `${path}/${name}`, unread))
  }
  return new Proxy(value, {
    get(target, name, receiver) {
      unread.delete(`${path}/${String(name)}`)
      return views.has(name) ? views.get(name) : Reflect.get(target, name, receiver)
    },
  })
}
