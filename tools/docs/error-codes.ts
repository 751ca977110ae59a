import { renderErrorCodes } from './render-error-codes.ts'

process.stdout.write(renderErrorCodes())
