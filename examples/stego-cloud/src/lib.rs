//! The parts of the stego cloud that stand on their own: [`ui`], the local page on which a person
//! shares pictures.

pub mod ui;
