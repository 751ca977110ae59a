/** The environment of a child process: this process's, and `variables`. */
export const childEnv = (variables: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  ...process.env,
  ...variables,
})
