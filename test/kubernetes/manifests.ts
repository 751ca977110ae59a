import { readFile } from 'node:fs/promises'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'

const FOLDER = new URL('../../deploy/kubernetes/', import.meta.url)

const kustomizationSchema = z.strictObject({
  apiVersion: z.literal('kustomize.config.k8s.io/v1beta1'),
  kind: z.literal('Kustomization'),
  namespace: z.string(),
  resources: z.array(z.string()),
  configurations: z.array(z.string()),
  images: z.array(z.strictObject({ name: z.string(), newTag: z.string() })),
  configMapGenerator: z.array(z.strictObject({ name: z.string(), literals: z.array(z.string()) })),
})

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
})
export type KubernetesObject = z.infer<typeof objectSchema>

const containerSchema = z.object({
  image: z.string(),
  command: z.array(z.string()),
  env: z.array(z.strictObject({ name: z.string(), value: z.string() })),
  envFrom: z.array(z.strictObject({ configMapRef: z.object({ name: z.string() }) })).default([]),
  ports: z.array(z.strictObject({ name: z.string(), containerPort: z.int() })).default([]),
  volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })),
  securityContext: z.object({
    readOnlyRootFilesystem: z.boolean(),
    allowPrivilegeEscalation: z.boolean(),
    capabilities: z.object({ drop: z.array(z.string()) }),
  }),
  readinessProbe: z.object({ httpGet: z.object({ path: z.string(), port: z.string() }) }).optional(),
  livenessProbe: z.object({ httpGet: z.object({ path: z.string(), port: z.string() }) }).optional(),
})
const podSchema = z.object({
  metadata: z.object({ labels: z.record(z.string(), z.string()) }),
  spec: z.object({
    automountServiceAccountToken: z.boolean(),
    terminationGracePeriodSeconds: z.int().optional(),
    securityContext: z.object({
      runAsNonRoot: z.boolean(),
      runAsUser: z.int(),
      seccompProfile: z.object({ type: z.string() }),
    }),
    containers: z.tuple([containerSchema]),
    volumes: z.array(
      z.object({
        name: z.string(),
        secret: z
          .object({
            secretName: z.string(),
            items: z.array(z.object({ key: z.string(), path: z.string() })).optional(),
          })
          .optional(),
      }),
    ),
  }),
})
const workloadSchema = z.object({ spec: z.object({ template: podSchema }) })

export const kustomization = kustomizationSchema.parse(
  parse(await readFile(new URL('kustomization.yaml', FOLDER), 'utf8')),
)

/** The settings that kustomize makes the ConfigMap from. */
export const settings: Record<string, string> = Object.fromEntries(
  kustomization.configMapGenerator.flatMap(({ literals }) =>
    literals.map((literal) => {
      const [name = '', ...value] = literal.split('=')
      return [name, value.join('=')]
    }),
  ),
)

/** All objects of deploy/kubernetes, in the order of the files. */
export const objects: readonly KubernetesObject[] = (
  await Promise.all(kustomization.resources.map((file) => readFile(new URL(file, FOLDER), 'utf8')))
).flatMap((text) => parseAllDocuments(text).map((document) => objectSchema.parse(document.toJS())))

/** The pod of a Deployment or Job, and its only container. */
export function readPod(name: string) {
  const workload = objects.find(
    ({ kind, metadata }) => metadata.name === name && (kind === 'Deployment' || kind === 'Job'),
  )
  const { template } = workloadSchema.parse(workload).spec
  const [container] = template.spec.containers
  const variables = Object.fromEntries(container.env.map((variable) => [variable.name, variable.value]))
  return { ...template.spec, labels: template.metadata.labels, container, variables }
}
