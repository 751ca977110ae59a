/** The environment that a process under test inherits: PATH alone. */
export const inheritedEnv = (): NodeJS.ProcessEnv => ({ PATH: process.env.PATH })
