import type { SnsEnvelope } from './envelope.ts'

const TOPIC_ARN = /^arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{1,40}):\d{12}:[\w-]{1,256}(?:\.fifo)?$/

/** `https://sns.<region>.amazonaws.com` of the topic's own region. Undefined when it is no topic. */
function originOf(topicArn: string): string | undefined {
  const [, partition, region] = TOPIC_ARN.exec(topicArn) ?? []
  if (region === undefined) return undefined
  return `https://sns.${region}.amazonaws.com${partition === 'aws-cn' ? '.cn' : ''}`
}

/**
 * Whether the certificate is Amazon's, of the topic's region. Compares the text as it is: a URL that has to be parsed
 * before it can be judged may be read in another way by what fetches it.
 */
export function isPinnedCertificate({ SigningCertURL, TopicArn }: SnsEnvelope): boolean {
  const origin = originOf(TopicArn)
  if (origin === undefined || !SigningCertURL.startsWith(`${origin}/`)) return false
  return /^\/[\w-]{1,200}\.pem$/.test(SigningCertURL.slice(origin.length))
}

/**
 * The URL that confirms a subscription, made from the topic and the token, so nothing else can ever be fetched.
 *
 * @returns undefined when the message gives another URL than this one.
 */
export function readSubscribeUrl({
  TopicArn,
  Token,
  SubscribeURL,
}: Extract<SnsEnvelope, { Token: string }>): string | undefined {
  const origin = originOf(TopicArn)
  if (origin === undefined) return undefined
  const url = `${origin}/?Action=ConfirmSubscription&TopicArn=${TopicArn}&Token=${Token}`
  return [url, url.replace(TopicArn, encodeURIComponent(TopicArn))].includes(SubscribeURL) ? url : undefined
}
