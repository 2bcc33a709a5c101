//! The table of rows, one for each word piece, as `training/` writes it.
//!
//! Little-endian: the magic, the number of rows and of dimensions as `u32`; then for each row the worth of one step as
//! `f32`; then the rows, each value four bits in two's complement, the first of two in the lower half of a byte.

const TABLE: &[u8] = include_bytes!("table.bin");

const MAGIC: &[u8; 8] = b"RCTABLE1";

/// Values in a row.
pub(in crate::dispatch) const DIMENSIONS: usize = 256;

const ROW_BYTES: usize = DIMENSIONS / 2;

const HEADER_BYTES: usize = MAGIC.len() + 8;

/// Rows in the table. That the header says what the code expects is checked while it is compiled.
const ROWS: usize = {
    let mut at = 0;
    while at < MAGIC.len() {
        assert!(TABLE[at] == MAGIC[at], "the token table has another format");
        at += 1;
    }
    let rows = u32_at(8) as usize;
    assert!(u32_at(12) as usize == DIMENSIONS, "the token table has other dimensions");
    assert!(TABLE.len() == HEADER_BYTES + rows * (4 + ROW_BYTES), "the token table is cut short");
    rows
};

const fn u32_at(at: usize) -> u32 {
    u32::from_le_bytes([TABLE[at], TABLE[at + 1], TABLE[at + 2], TABLE[at + 3]])
}

/// Adds the row of a piece, which is nothing for one outside the table.
pub(super) fn add_row(piece: u32, sum: &mut [f32; DIMENSIONS]) {
    let row = piece as usize;
    if row >= ROWS {
        return;
    }
    let step = f32::from_bits(u32_at(HEADER_BYTES + row * 4));
    let start = HEADER_BYTES + ROWS * 4 + row * ROW_BYTES;
    for (pair, byte) in sum.as_chunks_mut::<2>().0.iter_mut().zip(&TABLE[start..start + ROW_BYTES])
    {
        let (low, high) = ((byte << 4).cast_signed() >> 4, byte.cast_signed() >> 4);
        pair[0] += f32::from(low) * step;
        pair[1] += f32::from(high) * step;
    }
}

#[cfg(test)]
mod tests {
    use super::{DIMENSIONS, ROWS, add_row};
    use crate::dispatch::embedding::word_piece;

    #[test]
    fn there_is_a_row_for_each_piece() {
        assert_eq!(ROWS, word_piece::VOCABULARY.lines().count());
    }

    #[test]
    fn a_row_outside_the_table_is_nothing() {
        let mut sum = [0.0; DIMENSIONS];
        add_row(u32::MAX, &mut sum);
        assert!(sum.iter().all(|value| *value == 0.0));
    }
}
