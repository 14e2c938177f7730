//! The fonts of printed tickets: those inside the program, and further ones that the operator
//! names for other scripts.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use harfrust::{FontRef, ShaperData};
use krilla::text::Font;

/// Latin, Cyrillic and Greek letters.
static REGULAR: &[u8] = include_bytes!("../fonts/NotoSans-Regular.ttf");
static BOLD: &[u8] = include_bytes!("../fonts/NotoSans-Bold.ttf");
/// Hindi, Marathi and Nepali.
static DEVANAGARI: &[u8] = include_bytes!("../fonts/NotoSansDevanagari-Regular.ttf");

/// A file that is no font, or whose letters may not be embedded in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a TrueType or OpenType font")]
pub struct UnreadableFont;

/// The fonts that tickets are printed with. A letter is printed with the first font that has it.
#[derive(Clone)]
pub struct TicketFonts(Arc<[TicketFont]>);

/// A font in the forms that shaping and the PDF need.
pub(crate) struct TicketFont {
    pub(crate) data: Arc<Cow<'static, [u8]>>,
    pub(crate) shaping: ShaperData,
    pub(crate) font: Font,
    pub(crate) weight: Weight,
}

/// How heavy letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

impl TicketFont {
    fn read(data: Cow<'static, [u8]>, weight: Weight) -> Result<Self, UnreadableFont> {
        let shaping = ShaperData::new(&font_ref(&data)?);
        let data = Arc::new(data);
        let shared: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::clone(&data) as _;
        let font = Font::new(krilla::Data::from(shared), FACE);
        Ok(Self {
            shaping,
            font: font.ok_or(UnreadableFont)?,
            data,
            weight,
        })
    }

    /// The font, to look letters up in.
    pub(crate) fn font_ref(&self) -> Result<FontRef<'_>, UnreadableFont> {
        font_ref(&self.data)
    }
}

/// The face of a collection that is used.
const FACE: u32 = 0;

fn font_ref(data: &[u8]) -> Result<FontRef<'_>, UnreadableFont> {
    FontRef::from_index(data, FACE).map_err(|_| UnreadableFont)
}

impl TicketFonts {
    /// The fonts inside the program, and after them those of `files`: TrueType or OpenType fonts,
    /// or collections, of which the first font is taken.
    pub fn with(files: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, UnreadableFont> {
        let embedded = [
            (REGULAR, Weight::Regular),
            (BOLD, Weight::Bold),
            (DEVANAGARI, Weight::Regular),
        ];
        let embedded = embedded.map(|(data, weight)| (Cow::Borrowed(data), weight));
        let further = files
            .into_iter()
            .map(|file| (Cow::Owned(file), Weight::Regular));
        let all = embedded.into_iter().chain(further);
        let all: Result<_, _> = all
            .map(|(data, weight)| TicketFont::read(data, weight))
            .collect();
        Ok(Self(all?))
    }

    pub(crate) fn all(&self) -> &[TicketFont] {
        &self.0
    }
}

impl Default for TicketFonts {
    fn default() -> Self {
        match Self::with([]) {
            Ok(fonts) => fonts,
            Err(UnreadableFont) => unreachable!("the tests read the fonts inside the program"),
        }
    }
}

impl fmt::Debug for TicketFonts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketFonts({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fonts_inside_the_program_can_be_read() {
        assert_eq!(TicketFonts::default().all().len(), 3);
    }

    #[test]
    fn a_file_that_is_no_font_is_refused() {
        for file in [Vec::new(), b"%PDF-1.7".to_vec(), vec![0; 5000]] {
            assert_eq!(TicketFonts::with([file]).err(), Some(UnreadableFont));
        }
        let cut = REGULAR[..200].to_vec();
        assert_eq!(TicketFonts::with([cut]).err(), Some(UnreadableFont));
        let again = TicketFonts::with([REGULAR.to_vec()]).unwrap();
        assert_eq!(again.all().len(), 4);
    }
}
