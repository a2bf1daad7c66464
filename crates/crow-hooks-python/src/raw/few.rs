//! A stack that needs no heap while it is small.

use std::mem::MaybeUninit;

pub(super) struct Few<T, const N: usize> {
    count: usize,
    inline: [MaybeUninit<T>; N],
    more: Vec<T>,
}

impl<T, const N: usize> Few<T, N> {
    #[inline]
    pub(super) fn new() -> Self {
        Self { count: 0, inline: [const { MaybeUninit::uninit() }; N], more: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.count + self.more.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) {
        if self.count < N {
            self.inline[self.count].write(item);
            self.count += 1;
        } else {
            self.more.push(item);
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        if let Some(item) = self.more.pop() {
            return Some(item);
        }
        self.count = self.count.checked_sub(1)?;
        // Written, because it was counted, and not counted any more.
        Some(unsafe { self.inline[self.count].assume_init_read() })
    }

    /// Hands out everything, the first first.
    #[inline]
    pub(super) fn drain(&mut self, mut each: impl FnMut(T)) {
        let count = std::mem::take(&mut self.count);
        for item in &self.inline[..count] {
            each(unsafe { item.assume_init_read() });
        }
        for item in std::mem::take(&mut self.more) {
            each(item);
        }
    }
}

impl<T, const N: usize> Drop for Few<T, N> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
