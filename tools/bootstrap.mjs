// Installs what the checkout needs, then runs a command on the Node that was installed. This file is plain JavaScript
// for Node 18 and later, because nothing is installed when it starts.
//
//   node tools/bootstrap.mjs start|test|chaos|bench|bench-test [arguments]
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PNPM = 'pnpm@12.21.0'
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const MODULES = join(ROOT, 'node_modules')
const BIN = join(MODULES, '.bin')
const COMMANDS = {
  start: 'tools/stack/src/dev/start.ts',
  test: 'tools/stack/src/testing/run-tests.ts',
  fresh: 'tools/fresh-clone.ts',
  chaos: 'chaos/src/main.ts',
  bench: 'bench/src/main.ts',
  'bench-test': 'bench/src/testing/run-tests.ts',
}
/** These also need the workspace in bench/, which has its own lockfile for the peers' packages. */
const BENCH_COMMANDS = ['bench', 'bench-test']
/** The settings that npm passes to its scripts and that pnpm needs as well: those of the network. */
const NETWORK_SETTING =
  /^npm_config_(registry|https?_proxy|proxy|noproxy|ca|cafile|strict_ssl|userconfig|globalconfig|cache)$/i
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']
const PARENT_CHECK_MS = 500

const say = (text) => process.stderr.write(`${text}\n`)

/** Digest of the files that decide what is installed, in the root workspace or in the one of bench/. */
function fingerprint(folder, packages) {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${PNPM}`)
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...manifests(folder, packages)]) {
    hash.update(file).update(readFileSync(join(folder, file)))
  }
  return hash.digest('hex')
}

function manifests(folder, packages) {
  return ['', ...packages]
    .map((name) => join(name, 'package.json'))
    .filter((file) => existsSync(join(folder, file)))
}

function rootPackages() {
  const nested = ['apps', 'packages', 'tools'].flatMap((room) =>
    existsSync(join(ROOT, room)) ? readdirSync(join(ROOT, room)).map((name) => join(room, name)) : [],
  )
  return ['chaos', ...nested]
}

function isInstalled(stamp, wanted) {
  if (!existsSync(stamp) || !existsSync(join(BIN, 'node'))) return false
  return readFileSync(stamp, 'utf8') === wanted
}

/** Returns the environment without npm's additions for its scripts, and without variables that change what is installed. */
function innerEnv() {
  const env = {}
  for (const [name, value] of Object.entries(process.env)) {
    if (/^npm_/i.test(name) && !NETWORK_SETTING.test(name)) continue
    if (name === 'NODE_ENV' || name === 'INIT_CWD') continue
    env[name] = value
  }
  return env
}

/** Installs the workspace in `folder` from its lockfile, unless its stamp says that it is installed. */
async function install(folder, packages = []) {
  const stamp = join(folder, 'node_modules', '.tidings-install')
  const wanted = fingerprint(folder, packages)
  if (isInstalled(stamp, wanted)) return
  say('Installing the packages of Tidings; the first time this takes a minute …')
  const problem = await fetchPnpm()
  if (problem !== undefined) {
    say(await explainFailedInstall(`npm could not fetch ${PNPM}: ${problem}`))
    process.exit(1)
  }
  const args = ['--yes', PNPM, 'install', '--frozen-lockfile', '--config.confirmModulesPurge=false']
  if (!process.stderr.isTTY) args.push('--reporter=append-only')
  const code = await run('npx', args, innerEnv(), { cwd: folder })
  if (code !== 0) {
    say(await explainFailedInstall('The lines above say why.'))
    process.exit(code)
  }
  writeFileSync(stamp, wanted)
}

/**
 * Downloads pnpm into npm's cache. Returns what failed in one line, because without a network npm prints many lines and
 * repeats them, or undefined.
 */
function fetchPnpm() {
  const env = {
    ...innerEnv(),
    npm_config_fetch_retry_mintimeout: '500',
    npm_config_fetch_retry_maxtimeout: '2000',
  }
  return new Promise((resolve) => {
    execFile('npx', ['--yes', PNPM, '--version'], { cwd: ROOT, env }, (error, _, stderr) => {
      if (error === null) return resolve(undefined)
      const lines = stderr.split('\n').filter((line) => /^npm (error|ERR!)/.test(line))
      const summary =
        lines.find((line) => /Error: |\b(request|fetch)\b/i.test(line)) ?? lines[0] ?? error.message
      resolve(summary.replace(/^npm (error|ERR!) */, ''))
    })
  })
}

async function explainFailedInstall(reason) {
  const registry = process.env.npm_config_registry || 'https://registry.npmjs.org/'
  try {
    await fetch(registry, { signal: AbortSignal.timeout(5_000) })
  } catch {
    return [
      `Installing failed: the package registry ${new URL(registry).host} cannot be reached from here. ${reason}`,
      'Check the network, or the proxy and registry settings of npm (npm config list), and run this again.',
    ].join('\n')
  }
  return `Installing failed. ${reason} Run the same command again to continue.`
}

/** Runs a program in our terminal and forwards signals to it. Resolves with the exit code. */
function run(command, args, env, { cwd = ROOT, ipc = false } = {}) {
  return new Promise((resolve) => {
    const stdio = ipc ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit'
    const child = spawn(command, args, { cwd, env, stdio })
    // On Ctrl-C the terminal signals the child as well, so the child must bear the same signal twice.
    const forward = (signal) => child.kill(signal)
    for (const signal of SIGNALS) process.on(signal, forward)
    // npm may run us through a shell, which ends without forwarding a signal.
    const parent = process.ppid
    const watch = setInterval(() => {
      if (process.env.npm_lifecycle_event && process.ppid !== parent) child.kill('SIGTERM')
    }, PARENT_CHECK_MS)
    const finish = (code) => {
      clearInterval(watch)
      for (const signal of SIGNALS) process.off(signal, forward)
      resolve(code)
    }
    child.on('error', (error) => {
      say(`${command} could not be run: ${error.message}`)
      finish(127)
    })
    child.on('exit', (code, signal) => finish(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
}

async function main([name, ...args]) {
  const script = COMMANDS[name]
  if (script === undefined) {
    say(`Usage: node tools/bootstrap.mjs ${Object.keys(COMMANDS).join('|')} [arguments]`)
    return 64
  }
  await install(ROOT, rootPackages())
  if (BENCH_COMMANDS.includes(name)) await install(join(ROOT, 'bench'))
  const env = { ...innerEnv(), PATH: [BIN, process.env.PATH].join(delimiter) }
  // Node keeps compiled code between starts, which halves the processor time of a start. Tests do without, because it
  // falsifies their coverage.
  if (name === 'start') env.NODE_COMPILE_CACHE ??= join(MODULES, '.cache', 'compiled')
  return run(join(BIN, 'node'), [script, ...args], env, { ipc: name === 'start' })
}

process.exit(await main(process.argv.slice(2)))
