//! What the stand-ins can do wrong.

/// A promise that the stand-in breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    DoublePlace,
    LostPlace,
    Inversion,
    UnloggedPass,
    SecondSession,
    TooFast,
    OverCap,
    Oversell,
    DoubleCharge,
}
