//! Memory that the kernel writes into: page-aligned, zeroed, never moved.
//!
//! In: a size. Out: raw places in it, and slices for as long as nobody else writes there. Knows
//! nothing of rings.
#![allow(unsafe_code, reason = "the kernel takes addresses, not references")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The kernel wants its shared rings on a page of their own.
const PAGE_BYTES: usize = 4_096;

/// An owned, zeroed, page-aligned stretch of memory.
#[derive(Debug)]
pub struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

impl Pages {
    /// At least one byte, zeroed.
    pub fn zeroed(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes.max(1), PAGE_BYTES)
            .expect("sizes are constants far below isize::MAX");
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, layout }
    }

    /// Its first byte.
    pub fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The place `at`, which must lie inside.
    pub fn place(&self, at: usize) -> *mut u8 {
        assert!(at < self.layout.size(), "{at} lies behind the {} bytes", self.layout.size());
        // SAFETY: `at` was just checked to lie inside the one allocation.
        unsafe { self.start.as_ptr().add(at) }
    }

    /// The bytes `at..at + len`, which must lie inside.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody, the kernel included, may write there.
    pub unsafe fn slice(&self, at: usize, len: usize) -> &[u8] {
        let end = at.checked_add(len);
        assert!(end.is_some_and(|end| end <= self.layout.size()), "a slice lies inside");
        // SAFETY: inside the allocation (checked), initialised (zeroed when made, and the kernel
        // only ever writes bytes), and not written meanwhile (the caller's word).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at), len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this very layout, freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_aligned_and_zeroed_and_reach_to_their_last_byte() {
        let pages = Pages::zeroed(5_000);
        assert_eq!(pages.start() as usize % PAGE_BYTES, 0);
        // SAFETY: nobody writes here.
        let bytes = unsafe { pages.slice(4_990, 10) };
        assert_eq!(bytes, [0; 10]);
        assert_eq!(pages.place(4_999) as usize, pages.start() as usize + 4_999);
    }

    #[test]
    #[should_panic(expected = "a slice lies inside")]
    fn a_slice_one_byte_past_the_end_is_refused() {
        let pages = Pages::zeroed(100);
        // SAFETY: nobody writes here.
        let _ = unsafe { pages.slice(91, 10) };
    }
}
