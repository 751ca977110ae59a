import type { LinkPurpose } from '@tidings/shared/outbound-message'
import type { LinkPage } from './link-page.ts'

export const PAGES: Readonly<Record<LinkPurpose, LinkPage>> = {
  password_reset: {
    title: 'Choose a new password',
    explanation: 'This ends all sessions of the account. Log in with the new password afterwards.',
    button: 'Set the new password',
    hasPassword: true,
    done: { title: 'Password changed', text: 'Log in with the new password. All sessions have ended.' },
    next: 'Ask for a new link where you log in, under “Forgot password”.',
  },
  email_verification: {
    title: 'Verify your e-mail address',
    explanation:
      'This confirms that you registered the account and receive mail at this address. If you did not register, close this page.',
    button: 'Verify the address',
    hasPassword: false,
    done: { title: 'Address verified', text: 'Thank you. You can close this page.' },
    next: 'Log in and ask for a new link. If the address is verified already, there is nothing to do.',
  },
  email_change: {
    title: 'Confirm your new e-mail address',
    explanation: 'From then on, log in with the new address. The earlier address gets a message about it.',
    button: 'Confirm the new address',
    hasPassword: false,
    done: { title: 'Address changed', text: 'Log in with the new address from now on.' },
    next: 'Ask for the change again in the settings of your account.',
  },
  email_undo: {
    title: 'Restore your earlier e-mail address',
    explanation:
      'Do this if somebody else changed the address of your account. It ends all sessions. Choose a new password afterwards.',
    button: 'Restore the address',
    hasPassword: false,
    done: {
      title: 'Address restored',
      text: 'Whoever changed it may know your password. Choose a new one now: ask for a link where you log in, under “Forgot password”.',
    },
    next: 'Contact the support of the application if somebody else has your account.',
  },
}
