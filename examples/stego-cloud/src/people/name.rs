//! How people call things: `anna/a-cat`, `a-cat`, or the first letters of an id.
//!
//! A picture, a request and a grant are each called by a person and a title: `anna/a-cat` is what
//! anna calls "A cat", and for anna, `bob/a-cat` is what bob asked of it. What is called so more than
//! once is called by its id, of which four letters are enough if no other begins with them. A name is
//! never guessed: what is unknown, or could be several, is refused with what it could be.
//!
//! Pure.

use distri::cli::Failure;
use distri_services::images::{person::Who, record::Handle};

/// By what a thing is called.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    /// Its id.
    pub(crate) id: String,
    /// Whose it is, or whom it is about.
    pub(crate) user: Who,
    /// What the picture is called.
    pub(crate) title: String,
    /// It goes on: of several that are called the same, the one that does is meant.
    pub(crate) is_open: bool,
}

/// Letters of an id that are enough, if no other begins with them.
const PREFIX_MIN: usize = 4;

/// Letters of an id that are shown.
const SHOWN: usize = 8;

/// How many things an error names, at most.
const NAMED: usize = 6;

/// The title as one types it: small letters and digits, with `-` between words. Empty if there are
/// none in it.
pub(crate) fn slug(title: &str) -> String {
    let mut slug = String::new();
    for character in title.chars().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// The first letters of an id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHOWN).unwrap_or(id)
}

/// What is typed for a picture of `user`: by its title, or by its id if that has no letters.
pub(crate) fn of(user: &Who, title: &str, id: &str) -> String {
    let slug = slug(title);
    let last = if slug.is_empty() { short(id) } else { &slug };
    format!("{}/{last}", user.handle)
}

/// The user and the rest of a name; without a user, `None`.
pub(crate) fn parts(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    }
}

/// Says whether `user` is a name for `who`: the handle in whichever case, or the key.
pub(crate) fn is_called(who: &Who, user: &str) -> bool {
    let same = |handle: Handle| handle.folded() == who.handle.folded();
    Handle::new(user).is_ok_and(same) || who.key.to_string() == user
}

/// The one of `all` that `text` names.
///
/// # Errors
/// None is called so, or several are: wrong usage, with what there is.
pub(crate) fn pick<'a, T>(
    what: &str,
    text: &str,
    all: &'a [T],
    card: impl Fn(&T) -> Card,
) -> Result<&'a T, Failure> {
    let cards: Vec<Card> = all.iter().map(card).collect();
    let (user, rest) = parts(text.trim());
    let of_user =
        |card: &Card| user.is_none_or(|user| user.is_empty() || is_called(&card.user, user));
    let typed = slug(rest);
    let is_meant = |card: &Card| {
        let by_title = !typed.is_empty() && slug(&card.title) == typed;
        let by_id = rest.len() >= PREFIX_MIN && card.id.starts_with(&rest.to_ascii_lowercase());
        of_user(card) && (by_title || by_id)
    };
    let places = |is: &dyn Fn(&Card) -> bool| -> Vec<usize> {
        let found = cards.iter().enumerate().filter(|(_, card)| is(card));
        found.map(|(place, _)| place).collect()
    };
    let mut found = places(&is_meant);
    if found.len() > 1 {
        let open = places(&|card: &Card| is_meant(card) && card.is_open);
        if open.len() == 1 {
            found = open;
        }
    }
    match found.as_slice() {
        [one] => Ok(&all[*one]),
        [] => {
            let of_that_user: Vec<&Card> = cards.iter().filter(|card| of_user(card)).collect();
            let named = if user.is_some() && !of_that_user.is_empty() {
                of_that_user
            } else {
                cards.iter().collect()
            };
            let remedy = match named.as_slice() {
                [] => "there is none at all".to_owned(),
                some => format!("there is {}", list(some)),
            };
            Err(Failure::usage(format!("there is no {what} `{}`", tame(text))).with_remedy(remedy))
        }
        several => {
            let cards: Vec<&Card> = several.iter().map(|place| &cards[*place]).collect();
            let message = format!("`{}` may be any of {} {what}s", tame(text), several.len());
            let remedy = format!("say which by its id: {}", list(&cards));
            Err(Failure::usage(message).with_remedy(remedy))
        }
    }
}

/// `anna/a-cat (k3f9abcd), anna/a-dog (…) and 3 more`.
fn list(cards: &[&Card]) -> String {
    let named = cards.iter().take(NAMED).map(|card| {
        let name = of(&card.user, &card.title, &card.id);
        format!("{name} ({})", short(&card.id))
    });
    let named: Vec<String> = named.collect();
    let named = named.join(", ");
    match cards.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn tame(text: &str) -> String {
    crate::show::tame(text, 80)
}

#[cfg(test)]
mod tests {
    use distri::identity::Identity;

    use super::*;

    fn who(handle: &str) -> Who {
        Who {
            key: Identity::generate().public(),
            handle: Handle::new(handle).unwrap(),
        }
    }

    fn card(id: &str, user: &Who, title: &str, is_open: bool) -> Card {
        Card {
            id: id.to_owned(),
            user: user.clone(),
            title: title.to_owned(),
            is_open,
        }
    }

    fn picked(text: &str, all: &[Card]) -> Result<String, String> {
        pick("grant", text, all, Card::clone)
            .map(|card| card.id.clone())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn titles_are_typed_in_small_letters_with_hyphens() {
        for (title, typed) in [
            ("A cat", "a-cat"),
            ("  Ein Bär, schlafend! ", "ein-bär-schlafend"),
            ("../../etc/passwd", "etc-passwd"),
            ("???", ""),
            ("Ёлка 2026", "ёлка-2026"),
        ] {
            assert_eq!(slug(title), typed);
        }
    }

    #[test]
    fn a_thing_is_called_by_person_and_title_by_title_or_by_the_first_letters_of_its_id() {
        let (anna, bob) = (who("Anna"), who("bob"));
        let all = [
            card("abcdefgh22", &anna, "A cat", true),
            card("abcdxxxx22", &anna, "A dog", true),
            card("zzzzzzzz22", &bob, "???", true),
        ];

        for name in [
            "anna/a-cat",
            "ANNA/A cat",
            "a-cat",
            "abcde",
            "ABCDEFGH",
            "anna/abcde",
        ] {
            assert_eq!(picked(name, &all).as_deref(), Ok("abcdefgh22"), "{name}");
        }
        assert_eq!(picked("bob/zzzz", &all).as_deref(), Ok("zzzzzzzz22"));
        let by_key = format!("{}/a-dog", anna.key);
        assert_eq!(picked(&by_key, &all).as_deref(), Ok("abcdxxxx22"));
    }

    #[test]
    fn what_is_unknown_or_could_be_several_is_refused_with_what_there_is() {
        let (anna, bob) = (who("anna"), who("bob"));
        let all = [
            card("abcdefgh22", &anna, "A cat", true),
            card("abcdxxxx22", &anna, "A dog", true),
            card("zzzzzzzz22", &bob, "A cat", true),
        ];

        let unknown = picked("anna/a-horse", &all).unwrap_err();
        assert!(unknown.contains("no grant `anna/a-horse`"), "{unknown}");
        assert!(
            unknown.contains("anna/a-cat (abcdefgh), anna/a-dog (abcdxxxx)"),
            "{unknown}"
        );
        assert!(!unknown.contains("bob"), "{unknown}");
        assert!(
            picked("carl/a-cat", &all)
                .unwrap_err()
                .contains("bob/a-cat")
        );
        assert!(
            picked("x", &[])
                .unwrap_err()
                .contains("there is none at all")
        );

        // Too short to name one, although only one begins with it.
        assert!(picked("zzz", &all).is_err());
        let several = picked("a-cat", &all).unwrap_err();
        assert!(several.contains("any of 2 grants"), "{several}");
        assert!(
            several.contains("abcdefgh") && several.contains("zzzzzzzz"),
            "{several}"
        );
        assert!(picked("abcd", &all).unwrap_err().contains("any of 2"));
    }

    #[test]
    fn of_several_with_one_name_the_one_that_goes_on_is_meant() {
        let anna = who("anna");
        let over = card("abcdefgh22", &anna, "A cat", false);
        let open = card("zzzzzzzz22", &anna, "A cat", true);

        assert_eq!(
            picked("anna/a-cat", &[over.clone(), open]).as_deref(),
            Ok("zzzzzzzz22")
        );
        assert!(picked("a-cat", &[over.clone(), over]).is_err());
    }
}
