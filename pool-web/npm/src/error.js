/** What a pool refuses, with a code and the numbers. */
export class PoolError extends Error {
  constructor(code, message, details) {
    super(message);
    this.name = "PoolError";
    this.code = code;
    this.details = details;
  }
}

export function make_error(code, message, details) {
  return new PoolError(code, message, details);
}
