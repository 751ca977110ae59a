import { writeFileSync } from 'node:fs'
import { renderJsonSchemas } from './render-json-schemas.ts'

for (const [file, text] of Object.entries(renderJsonSchemas()))
  writeFileSync(new URL(`../../docs/${file}`, import.meta.url), text)
