/** The message label by which the client asks for a square: the number in register 0, in both directions. */
export const SQUARE = 1;
