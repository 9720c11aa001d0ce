//! The parts of the stego cloud that stand on their own: [`home`], a person's folder and the way from
//! there to their cloud; [`ui`], the local page on which a person shares pictures.

pub mod home;
pub mod ui;
