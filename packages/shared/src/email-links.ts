import { z } from 'zod'
import { emailSchema, newPasswordSchema, passwordSchema } from './user.ts'

/** The name of the member that holds the token of a link. Any text may be in it: it is refused like an unknown token. */
export const TOKEN_MEMBER = 'token'

/** Uses the token of a link. */
export const tokenUseSchema = z.strictObject({ [TOKEN_MEMBER]: z.string() })

export const passwordResetRequestSchema = z.strictObject({ email: emailSchema })

export const passwordResetSchema = z.strictObject({ [TOKEN_MEMBER]: z.string(), password: newPasswordSchema })
export type PasswordReset = z.infer<typeof passwordResetSchema>

/** The form of the page that resets a password, besides the token. */
export const passwordFormSchema = passwordResetSchema.omit({ [TOKEN_MEMBER]: true })

/** Without a password the login must be recent. */
export const emailChangeSchema = z.strictObject({ email: emailSchema, password: passwordSchema.nullish() })
export type EmailChange = z.infer<typeof emailChangeSchema>
