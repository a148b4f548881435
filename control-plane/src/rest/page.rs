//! Pages of lists. A cursor is opaque to clients: where the last page ended, as hex.

use engine_core::time::WallTime;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{Kind, Problem};
use crate::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::store::{After, Page};

/// Which page a client asks for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Most items, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub(crate) limit: Option<u32>,
    /// `next` of the page before; without it the list begins.
    #[param(pattern = "^[0-9a-f]{48}$")]
    pub(crate) cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PageOf<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Cursor of the page behind this one; null at the end.
    pub(crate) next: Option<String>,
}

/// Reads `limit` and `cursor`. One item more than asked is fetched, to see whether there is more.
pub(crate) fn read_page(limit: Option<u32>, cursor: Option<&str>) -> Result<Page, Problem> {
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        let detail = format!("limit must be 1 to {PAGE_MAX}, not {limit}");
        return Err(Problem::new(Kind::MalformedQuery, detail));
    }
    let after = cursor.map(read_cursor).transpose()?;
    Ok(Page { after, limit: limit + 1 })
}

/// Cuts what [`read_page`] asked for to the page; `at` gives an item's place.
pub(crate) fn cut<T>(
    mut items: Vec<T>,
    page: Page,
    at: impl Fn(&T) -> After,
) -> (Vec<T>, Option<String>) {
    let limit = page.limit as usize - 1;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| has_more).map(|last| write_cursor(at(last)));
    (items, next)
}

/// Writes the place of the last item that was seen.
pub(crate) fn write_cursor(after: After) -> String {
    format!("{:016x}{:032x}", after.at.as_unix_millis() as u64, after.id)
}

fn read_cursor(text: &str) -> Result<After, Problem> {
    let read = || {
        let hex = text.len() == 48 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let (at, id) = hex.then(|| text.split_at(16))?;
        let at = u64::from_str_radix(at, 16).ok()? as i64;
        let id = u128::from_str_radix(id, 16).ok()?;
        Some(After { at: WallTime::from_unix_millis(at), id })
    };
    let detail = "cursor must be `next` of the page before, unchanged";
    read().ok_or_else(|| Problem::new(Kind::MalformedQuery, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        for at in [i64::MIN, -1, 0, 1_795_359_845_006, i64::MAX] {
            let after = After { at: WallTime::from_unix_millis(at), id: u128::MAX - 5 };
            assert_eq!(read_cursor(&write_cursor(after)).unwrap(), after);
        }
    }

    #[test]
    fn anything_else_is_no_cursor() {
        for text in ["", "1", "zz", &"g".repeat(48), &"0".repeat(49), &"é".repeat(24)] {
            assert!(read_cursor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_hold_at_the_limit_and_not_one_past_it() {
        assert_eq!(read_page(None, None).unwrap().limit, PAGE_DEFAULT + 1);
        for good in [1, PAGE_MAX] {
            assert!(read_page(Some(good), None).is_ok());
        }
        for bad in [0, PAGE_MAX + 1] {
            assert!(read_page(Some(bad), None).is_err());
        }
    }
}
