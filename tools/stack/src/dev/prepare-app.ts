import { join } from 'node:path'
import type { Releaser } from '../releaser.ts'
import { openAppLog } from './app-log.ts'
import { type AppProcess, spawnApp } from './app-process.ts'
import type { StackOptions } from './stack.ts'
import { type Supervised, supervise } from './supervisor.ts'

/** Each app, its folder, and the module that imports nearly all of its code. */
const APPS = {
  api: { folder: 'apps/api/src', ahead: 'start-api.ts' },
  worker: { folder: 'apps/worker/src', ahead: 'run-worker.ts' },
  'email-service': { folder: 'examples/email-service/src', ahead: 'run-email-service.ts' },
} as const

interface PreparedApp {
  /**
   * Configures the app, waits until it is ready, and restarts it when it ends.
   *
   * @param url where it serves /health/ready; undefined when it serves nothing.
   */
  start(env: Record<string, string | undefined>, url?: string): Promise<Supervised>
}

/** Spawns an app that loads its code. `start` configures it and waits until it is ready. */
export async function prepareApp(
  name: keyof typeof APPS,
  logDir: string,
  { baseEnv, onNotice, onGiveUp, signal }: StackOptions,
  releaser: Releaser,
): Promise<PreparedApp> {
  const log = openAppLog(name, join(logDir, `${name}.log`), onNotice)
  releaser.onRelease(log.close)
  const { folder, ahead } = APPS[name]
  const spawn = () =>
    spawnApp({
      name,
      main: `${folder}/main.ts`,
      ahead: `${folder}/${ahead}`,
      baseEnv,
      onLine: log.write,
    })
  let prepared: AppProcess | undefined = await spawn()
  releaser.onRelease(() => prepared?.stop().then(() => {}))
  return {
    async start(appEnv, url) {
      return supervise(
        {
          async spawn() {
            const app = prepared ?? (await spawn())
            prepared = undefined
            app.configure(appEnv, url && `${url}/health/ready`)
            return app
          },
          onNotice,
          onGiveUp,
        },
        signal,
      )
    },
  }
}
