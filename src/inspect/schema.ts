/** Version of the JSON that commands print: fields may be added to it; none is taken away, or gets another meaning. */
export const SCHEMA = 1;
