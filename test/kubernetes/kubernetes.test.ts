import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { API_VARIABLES, readEnv } from '@tidings/api/env'
import { findProgram } from '@tidings/stack/servers/find-program'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { WORKER_VARIABLES } from '@tidings/worker/env'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { readExpression } from '../monitoring/read-expression.ts'
import { type KubernetesObject, kustomization, objects, readPod, settings } from './manifests.ts'
import { validateObject } from './validate-object.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FOLDER = join(ROOT, 'deploy/kubernetes')
const run = promisify(execFile)
const APPS = ['tidings-api', 'tidings-worker']
const PODS = ['tidings-migrate', ...APPS]
const hasKubectl = findProgram('kubectl', process.env.PATH) !== undefined

const find = (kind: string, name: string): KubernetesObject => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name)
  if (found === undefined) throw new Error(`There is no ${kind} ${name}`)
  return found
}

describe('each object is what Kubernetes and KEDA expect, without unknown fields', () => {
  test.for(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object] as const))(
    '%s',
    ([, object]) => {
      expect(validateObject(object)).toEqual([])
    },
  )

  test('a misspelled field and a wrong type are found', () => {
    const service = (port: object) =>
      ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' }, spec: { ports: [port] } }) as const
    expect(validateObject(service({ port: 80, targetPrt: 'http' }))).toEqual(['/spec/ports/0/targetPrt'])
    expect(() => validateObject(service({ port: 'eighty' }))).toThrow('/spec/ports/0/port must be integer')
  })
})

test.skipIf(!hasKubectl)(
  `kubectl renders the same objects${hasKubectl ? '' : ': NO KUBECTL ON THE PATH'}`,
  async () => {
    const { stdout } = await run('kubectl', ['kustomize', FOLDER])
    const rendered = parseAllDocuments(stdout).map((document) => document.toJS() as KubernetesObject)
    const names = (list: readonly KubernetesObject[]) =>
      list.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()
    const settingsMap = rendered.find(({ kind }) => kind === 'ConfigMap')
    expect(names(rendered.filter((object) => object !== settingsMap))).toEqual(names(objects))
    expect(settingsMap).toMatchObject({ data: settings })
  },
)

describe.for(PODS)('a pod of %s', (name) => {
  const pod = readPod(name)

  test('runs without root, without rights, on a read-only file system', () => {
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    })
    expect(pod.securityContext.runAsUser).toBeGreaterThan(0)
    expect(pod.container.securityContext).toEqual({
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    })
  })

  test('starts a program of the image that kustomize names', () => {
    expect(kustomization.images.map((image) => image.name)).toContain(pod.container.image)
    expect(existsSync(join(ROOT, pod.container.command[1] ?? ''))).toBe(true)
  })

  test('takes its secrets from files that are mounted', () => {
    const mounted = pod.volumes.find((volume) => volume.secret !== undefined)
    const folder = pod.container.volumeMounts.find((mount) => mount.name === mounted?.name)?.mountPath
    const files = Object.entries(pod.variables).filter(([variable]) => variable.endsWith('_FILE'))
    expect(files.length).toBeGreaterThan(0)
    for (const [variable, path] of files) expect(path).toBe(`${folder}/${variable.slice(0, -'_FILE'.length)}`)
    const kept = mounted?.secret?.items?.map((item) => `${item.key}_FILE`)
    if (kept !== undefined) expect(kept.sort()).toEqual(files.map(([variable]) => variable).sort())
    for (const secret of ['DATABASE_URL', 'REDIS_URL', 'RECIPIENT_KEY', 'HOOK_SECRETS_KEY', 'JWT_KEYS'])
      expect({ ...settings, ...pod.variables }).not.toHaveProperty(secret)
  })

  test('is chosen by the network policy of all', () => {
    expect(find('NetworkPolicy', 'tidings').spec).toMatchObject({
      podSelector: { matchLabels: { 'app.kubernetes.io/name': pod.labels['app.kubernetes.io/name'] } },
      policyTypes: ['Ingress', 'Egress'],
    })
  })
})

describe.for(APPS)('%s', (name) => {
  const pod = readPod(name)
  const [port] = pod.container.ports
  const labels = { matchLabels: pod.labels }

  test('is probed where it listens', () => {
    const variable = name === 'tidings-api' ? 'PORT' : 'WORKER_PORT'
    expect(pod.variables[variable]).toBe(String(port?.containerPort))
    expect(pod.container.livenessProbe?.httpGet).toEqual({ path: '/health/live', port: port?.name })
    expect(pod.container.readinessProbe?.httpGet).toEqual({ path: '/health/ready', port: port?.name })
  })

  test('has 15 s more than SHUTDOWN_DELAY to stop', () => {
    const delay = Number(pod.variables.SHUTDOWN_DELAY ?? 0)
    expect(pod.terminationGracePeriodSeconds).toBe(15 + delay)
    if (name === 'tidings-api') expect(delay).toBe(5)
  })

  test('is one set of pods for the deployment, the disruption budget and the network', () => {
    expect(find('Deployment', name).spec).toMatchObject({ selector: labels })
    expect(find('PodDisruptionBudget', name).spec).toMatchObject({ maxUnavailable: 1, selector: labels })
    expect(find('NetworkPolicy', name).spec).toMatchObject({
      podSelector: labels,
      ingress: [{ ports: [{ port: port?.name }] }],
    })
  })

  test('leaves the number of pods to its autoscaler', () => {
    expect(find('Deployment', name).spec).not.toHaveProperty('replicas')
    const kind = name === 'tidings-api' ? 'HorizontalPodAutoscaler' : 'ScaledObject'
    expect(find(kind, name).spec).toMatchObject({ scaleTargetRef: { name } })
  })
})

test('the service leads to the API', () => {
  expect(find('Service', 'tidings-api').spec).toMatchObject({
    selector: readPod('tidings-api').labels,
    ports: [{ targetPort: readPod('tidings-api').container.ports[0]?.name }],
  })
})

test('the page makes the secrets that the pods read', async () => {
  const page = await readFile(join(ROOT, 'docs/start/kubernetes.md'), 'utf8')
  const made = [...page.matchAll(/--from-literal=(\w+)=/g)].map(([, name]) => `${name}_FILE`)
  const read = PODS.flatMap((name) => Object.keys(readPod(name).variables)).filter((name) =>
    name.endsWith('_FILE'),
  )
  expect(made.sort()).toEqual([...new Set(read)].sort())
})

describe.skipIf(!hasKubectl)(`an overlay${hasKubectl ? '' : ': NO KUBECTL ON THE PATH'}`, async () => {
  const releaser = useReleaser()
  const page = await readFile(join(ROOT, 'docs/start/kubernetes.md'), 'utf8')
  const blocks = [...page.matchAll(/^( *)```yaml\n([\s\S]*?)^ *```/gm)].map(([, indent = '', text = '']) =>
    text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  )
  const whole = blocks.find((text) => text.includes('kind: Kustomization')) ?? ''
  const changes = blocks.filter((text) => /^patches:/m.test(text))

  async function render(overlay: string) {
    const folder = await mkdtemp(join(tmpdir(), 'tidings-overlay-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
    const base = relative(await realpath(folder), FOLDER)
    await writeFile(
      join(folder, 'kustomization.yaml'),
      overlay.replace(/^resources: .*$/m, `resources: [${base}]`),
    )
    const { stdout } = await run('kubectl', ['kustomize', folder])
    return parseAllDocuments(stdout).map((document) => document.toJS() as KubernetesObject)
  }
  const names = (list: readonly KubernetesObject[], kind: string) =>
    list.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name)

  test('of the page renders, also in another namespace', async () => {
    const rendered = await render(whole.replace('namespace: tidings', 'namespace: other'))
    for (const { kind, metadata } of rendered)
      expect(kind === 'Namespace' ? metadata.name : metadata.namespace).toBe('other')
    expect(rendered.find(({ kind }) => kind === 'ConfigMap')).toMatchObject({
      data: { ...settings, API_URL: 'https://tidings.your-domain.example' },
    })
  })

  test('renders with each change of the page, to objects without unknown fields', async () => {
    expect(changes).toHaveLength(2)
    const [withoutKeda = [], pooled = []] = await Promise.all(
      changes.map((change) => render(`${whole}\n${change}`)),
    )
    expect(names(withoutKeda, 'ScaledObject')).toEqual([])
    for (const object of [...withoutKeda, ...pooled])
      if (object.kind !== 'ConfigMap') expect(validateObject(object)).toEqual([])
    expect(JSON.stringify(pooled).match(/"DATABASE_DIRECT_URL_FILE"/g)).toHaveLength(2)
  })

  test('with other names scales its own workers', async () => {
    const rendered = await render(`namePrefix: our-\n${whole}`)
    for (const kind of ['ScaledObject', 'HorizontalPodAutoscaler'])
      for (const scaler of rendered.filter((object) => object.kind === kind)) {
        const { scaleTargetRef } = z
          .object({ scaleTargetRef: z.object({ name: z.string() }) })
          .parse(scaler.spec)
        expect(names(rendered, 'Deployment')).toContain(scaleTargetRef.name)
      }
  })

  test('may add the network policy of the page', () => {
    const [policy] = blocks.filter((text) => text.includes('kind: NetworkPolicy'))
    expect(validateObject(parse(policy ?? '') as KubernetesObject)).toEqual([])
  })

  test('has the jobs that the alerts and the dashboard name', async () => {
    const scraped = blocks.filter((text) => /scrape_configs|PodMonitor/.test(text))
    expect(scraped).toHaveLength(2)
    const jobs = (text: string) => [...text.matchAll(/job="([^"]+)"/g)].map(([, job = '']) => job)
    const named = jobs(await readFile(join(ROOT, 'deploy/alerts.yml'), 'utf8'))
    expect([...new Set(named)].sort()).toEqual(APPS)
    const { scrape_configs } = z
      .object({ scrape_configs: z.tuple([z.object({ relabel_configs: z.array(z.looseObject({})) })]) })
      .parse(parse(scraped[0] ?? ''))
    const component = '__meta_kubernetes_pod_label_app_kubernetes_io_component'
    expect(scrape_configs[0].relabel_configs).toContainEqual({
      source_labels: [component],
      replacement: 'tidings-$1',
      target_label: 'job',
    })
    for (const name of APPS) {
      const { labels, container } = readPod(name)
      expect(`tidings-${labels['app.kubernetes.io/component']}`).toBe(name)
      expect(scraped[1]).toContain(
        `port: ${container.ports[0]?.name}, relabelings: [{ targetLabel: job, replacement: ${name} }]`,
      )
    }
  })
})

test('workers are scaled by metrics that the alerts use too', async () => {
  const { triggers } = z
    .object({ triggers: z.tuple([z.object({ metadata: z.object({ query: z.string() }) })]) })
    .parse(find('ScaledObject', 'tidings-worker').spec)
  const alerts = await readFile(join(ROOT, 'deploy/alerts.yml'), 'utf8')
  const { errors, metrics } = readExpression(triggers[0].metadata.query)
  expect(errors).toBe(0)
  expect(metrics.length).toBeGreaterThan(0)
  for (const metric of metrics) expect(alerts).toContain(metric)
})

describe('the settings', () => {
  const releaser = useReleaser()
  const secrets = {
    DATABASE_URL: 'postgres://db/tidings',
    REDIS_URL: 'redis://redis',
    RECIPIENT_KEY: 'a-key-of-16-characters',
    HOOK_SECRETS_KEY: 'a-key-that-has-at-least-32-characters',
    JWT_KEYS: '{}',
  }

  /** Writes secrets to files, and returns the pod's variables with the paths of these files. */
  async function mountSecrets(name: string, texts: Record<string, string>) {
    const folder = await mkdtemp(join(tmpdir(), 'tidings-secrets-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
    for (const [file, text] of Object.entries(texts)) await writeFile(join(folder, file), text)
    const pod = readPod(name)
    const entries = Object.entries({ ...(pod.container.envFrom.length > 0 && settings), ...pod.variables })
    return Object.fromEntries(
      entries.map(([variable, value]) => [variable, value.replace('/etc/tidings', folder)]),
    )
  }

  test('are those of the API', async () => {
    const variables = await mountSecrets('tidings-api', secrets)
    expect(readEnv(variables)).toMatchObject({
      DATABASE_URL: secrets.DATABASE_URL,
      REDIS_URL: secrets.REDIS_URL,
      RECIPIENT_KEY: secrets.RECIPIENT_KEY,
      STRICT_DURABILITY: true,
      TRUSTED_PROXY_HOPS: 1,
    })
    for (const variable of Object.keys(readPod('tidings-api').variables))
      expect(API_VARIABLES).toContain(variable)
    for (const variable of Object.keys(readPod('tidings-worker').variables))
      expect(WORKER_VARIABLES).toContain(variable)
    for (const variable of Object.keys(settings)) expect(API_VARIABLES).toContain(variable)
  })

  test('migrate a database', async () => {
    const { url } = await createTestDatabase(releaser)
    const env = await mountSecrets('tidings-migrate', { DATABASE_URL: `${url}\n` })
    const { stdout } = await run(process.execPath, readPod('tidings-migrate').container.command.slice(1), {
      cwd: ROOT,
      env,
    })
    expect(stdout).toBe('Database is at the newest schema.\n')
  })
})
