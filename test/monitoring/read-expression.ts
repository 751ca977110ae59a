import { parser } from '@prometheus-io/lezer-promql'

interface Expression {
  /** Places that are not PromQL. */
  errors: number
  metrics: string[]
}

/** Finds the metrics of a PromQL expression. */
export function readExpression(expression: string): Expression {
  const found: Expression = { errors: 0, metrics: [] }
  parser.parse(expression).iterate({
    enter(node) {
      if (node.type.isError) found.errors++
      const isMetric = node.name === 'Identifier' && node.node.parent?.name === 'VectorSelector'
      if (isMetric) found.metrics.push(expression.slice(node.from, node.to))
    },
  })
  return found
}
