import type { OutboundKind, OutboundVariables } from '@tidings/shared/outbound-message'

/** The words of one kind of mail. */
export interface MailTexts {
  subject: string
  /** Paragraphs before the link. */
  before(variables: OutboundVariables): string[]
  /** The text of the button. Without it the mail has no link. */
  button?: string
  /** Paragraphs after the link. */
  after: string[]
}

export interface Language {
  greeting(name: string | undefined): string
  /** Introduces the link as text, for those who cannot press the button. */
  linkHint: string
  kinds: Readonly<Record<OutboundKind, MailTexts>>
}

const en: Language = {
  greeting: (name) => (name ? `Hello ${name},` : 'Hello,'),
  linkHint: 'Or open this address:',
  kinds: {
    password_reset: {
      subject: 'Reset your password',
      before: () => [
        'Somebody asked to reset the password of your account. If it was you, choose a new one:',
      ],
      button: 'Choose a new password',
      after: [
        'The link works once, for an hour.',
        'If it was not you, ignore this mail. Nothing has changed.',
      ],
    },
    email_verification: {
      subject: 'Confirm your e-mail address',
      before: () => ['Please confirm that this address is yours:'],
      button: 'Confirm the address',
      after: ['The link works for a day.', 'If you did not create an account, ignore this mail.'],
    },
    email_change: {
      subject: 'Confirm your new e-mail address',
      before: () => ['Your account is about to use this address. Please confirm that it is yours:'],
      button: 'Confirm the new address',
      after: [
        'The link works for a day.',
        'If you did not ask for this, ignore this mail. Nothing changes then.',
      ],
    },
    email_changed: {
      subject: 'Your e-mail address was changed',
      before: ({ new_email }) => [
        new_email
          ? `Your account now uses the address ${new_email}.`
          : 'Your account now uses another address.',
        'If you did not change it, take the change back:',
      ],
      button: 'Undo the change',
      after: ['The link works for three days. Then choose a new password.'],
    },
    password_changed: {
      subject: 'Your password was changed',
      before: () => ['The password of your account was changed, and other devices were logged out.'],
      after: ['If you did not change it, reset your password now.'],
    },
    new_device: {
      subject: 'A new device logged in',
      before: ({ device, address }) => [
        'Somebody logged in to your account from a device that it did not know.',
        ...(device ? [`Device: ${device}`] : []),
        ...(address ? [`Network: ${address}`] : []),
      ],
      after: ['If it was not you, change your password now: that logs out every other device.'],
    },
    account_deactivated: {
      subject: 'Your account was deactivated',
      before: () => ['Your account was deactivated. Nobody can log in to it.'],
      after: ['If you did not expect this, answer this mail.'],
    },
  },
}

const de: Language = {
  greeting: (name) => (name ? `Hallo ${name},` : 'Hallo,'),
  linkHint: 'Oder öffnen Sie diese Adresse:',
  kinds: {
    password_reset: {
      subject: 'Passwort zurücksetzen',
      before: () => [
        'Jemand möchte das Passwort Ihres Kontos zurücksetzen. Waren Sie es, wählen Sie ein neues:',
      ],
      button: 'Neues Passwort wählen',
      after: ['Der Link gilt einmal und eine Stunde lang.', 'Waren Sie es nicht, ist nichts zu tun.'],
    },
    email_verification: {
      subject: 'E-Mail-Adresse bestätigen',
      before: () => ['Bitte bestätigen Sie, dass diese Adresse Ihnen gehört:'],
      button: 'Adresse bestätigen',
      after: ['Der Link gilt einen Tag.', 'Haben Sie kein Konto angelegt, ist nichts zu tun.'],
    },
    email_change: {
      subject: 'Neue E-Mail-Adresse bestätigen',
      before: () => [
        'Ihr Konto soll künftig diese Adresse verwenden. Bitte bestätigen Sie, dass sie Ihnen gehört:',
      ],
      button: 'Neue Adresse bestätigen',
      after: ['Der Link gilt einen Tag.', 'Haben Sie nicht darum gebeten, ist nichts zu tun.'],
    },
    email_changed: {
      subject: 'Ihre E-Mail-Adresse wurde geändert',
      before: ({ new_email }) => [
        new_email
          ? `Ihr Konto verwendet jetzt die Adresse ${new_email}.`
          : 'Ihr Konto verwendet jetzt eine andere Adresse.',
        'Waren Sie es nicht, machen Sie die Änderung rückgängig:',
      ],
      button: 'Änderung rückgängig machen',
      after: ['Der Link gilt drei Tage. Wählen Sie danach ein neues Passwort.'],
    },
    password_changed: {
      subject: 'Ihr Passwort wurde geändert',
      before: () => ['Das Passwort Ihres Kontos wurde geändert. Andere Geräte wurden abgemeldet.'],
      after: ['Waren Sie es nicht, setzen Sie Ihr Passwort jetzt zurück.'],
    },
    new_device: {
      subject: 'Anmeldung mit einem neuen Gerät',
      before: ({ device, address }) => [
        'Jemand hat sich mit einem unbekannten Gerät bei Ihrem Konto angemeldet.',
        ...(device ? [`Gerät: ${device}`] : []),
        ...(address ? [`Netz: ${address}`] : []),
      ],
      after: ['Waren Sie es nicht, ändern Sie jetzt Ihr Passwort: Das meldet jedes andere Gerät ab.'],
    },
    account_deactivated: {
      subject: 'Ihr Konto wurde deaktiviert',
      before: () => ['Ihr Konto wurde deaktiviert. Niemand kann sich damit anmelden.'],
      after: ['Kommt das unerwartet, antworten Sie auf diese Mail.'],
    },
  },
}

const LANGUAGES: Readonly<Record<string, Language>> = { en, de }

/** The language of a BCP 47 tag such as `de-AT`; English when it is not there. */
export function languageOf(locale: string): { tag: string; language: Language } {
  const tag = locale.split('-')[0]?.toLowerCase() ?? ''
  const language = Object.hasOwn(LANGUAGES, tag) ? LANGUAGES[tag] : undefined
  return language === undefined ? { tag: 'en', language: en } : { tag, language }
}
