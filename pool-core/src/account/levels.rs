//! An account that has others above it: a charge of several levels, or of none.

use super::mode::Mode;
use super::{Account, Claim, Crossed, Pressure, Shortfall};
use crate::sync::Ordering::{Acquire, Relaxed};

#[cfg(feature = "alloc")]
use super::Credit;

/// What an account does that has others above it.
///
/// A table, so that a page whose accounts are alone need not download it: there only who makes an account below another
/// refers to it, and an account says that it is not alone by a pointer to it. Elsewhere it is read at compile time.
pub struct Tree<M: Mode> {
    pub(super) charge: for<'a> fn(&'a Account<M>, usize, bool) -> Result<Crossed, Shortfall<'a, M>>,
    pub(super) uncharge: fn(&Account<M>, usize, bool) -> Crossed,
    pub(super) fill: fn(&mut Claim<'_, M>, usize) -> Result<(), usize>,
    pub(super) shortfall: for<'a> fn(&'a Account<M>, usize, usize) -> Option<Shortfall<'a, M>>,
    pub(super) pressure: fn(&Account<M>) -> Pressure,
    pub(super) excess: fn(&Account<M>) -> usize,
    pub(super) watch: fn(&Account<M>),
    pub(super) above: fn(&Account<M>) -> Option<&Account>,
}

impl<M: Mode> Tree<M> {
    pub(crate) const ANY: &'static Self = &Self {
        charge: Account::charge_levels,
        uncharge: Account::uncharge_levels,
        fill: |claim, total| claim.fill_levels(total),
        shortfall: |account, held, bytes| account.shortfalls(held, bytes).max_by_key(Shortfall::bytes),
        pressure: |account| {
            let here = account.levels().map(Account::pressure_here).max();
            here.max(account.above().map(Account::pressure)).unwrap_or(Pressure::None)
        },
        excess: |account| {
            let here = account.levels().map(Account::excess_here).max();
            here.max(account.above().map(Account::excess)).unwrap_or(0)
        },
        watch: Account::watch_levels,
        above: |account| {
            #[cfg(feature = "alloc")]
            return account.levels().find_map(|level| M::above(&level.0)).map(Credit::account);
            #[cfg(not(feature = "alloc"))]
            {
                let _ = account;
                None
            }
        },
    };
}

impl<M: Mode> Account<M> {
    /// Where there is no room for the bytes, if it can be told before any level counts them: on their way to a refusal
    /// further up they would be in the way of others.
    fn no_room(&self, bytes: usize) -> Option<Shortfall<'_, M>> {
        // Acquire, as of who is refused by `Mode::add`.
        let mut levels =
            self.levels().map(|level| Shortfall::at(level, bytes, level.ledger().used.load(Acquire)));
        levels.find(|shortfall| shortfall.bytes() > 0)
    }

    /// [`Account::charge_once`] where there are accounts above.
    fn charge_levels(&self, bytes: usize, external: bool) -> Result<Crossed, Shortfall<'_, M>> {
        if !external && let Some(shortfall) = self.no_room(bytes) {
            return Err(shortfall);
        }
        let (mut level, mut charged, mut alone) = (self, 0usize, None);
        let mut due = false;
        let (above, shortfall) = loop {
            let ledger = level.ledger();
            match Self::add(ledger, bytes, external, &mut due) {
                Ok(used) => alone = (charged == 0).then_some(used),
                Err(full) => break (Crossed(false), Some(Shortfall::of(level, bytes, full))),
            }
            charged += 1;
            if let Some(parent) = level.parent() {
                level = parent;
                continue;
            }
            #[cfg(feature = "alloc")]
            if let Some(credit) = M::above(&level.0) {
                break match credit.charge(bytes, external) {
                    Ok(crossed) => (crossed, None),
                    Err(shortfall) => (Crossed(false), Some(Shortfall::above(level, shortfall))),
                };
            }
            break (Crossed(false), None);
        };
        match shortfall {
            None => {
                // Of one level the count is known; of several, what it is by now.
                let crossed = match alone {
                    Some(used) => Self::record(self.ledger(), bytes, external, used),
                    None => self.levels().fold(false, |crossed, level| {
                        let ledger = level.ledger();
                        crossed | Self::record(ledger, bytes, external, ledger.used.load(Relaxed))
                    }),
                };
                Ok(Crossed(crossed | above.0 | due))
            }
            Some(shortfall) => {
                for level in self.levels().take(charged) {
                    due |= Self::undo(level.ledger(), bytes);
                }
                Err(Shortfall { crossed: shortfall.crossed | due, ..shortfall })
            }
        }
    }

    /// [`Account::uncharge_quietly`] where there are accounts above.
    #[inline(never)]
    fn uncharge_levels(&self, bytes: usize, external: bool) -> Crossed {
        let mut crossed = false;
        for level in self.levels() {
            crossed |= Self::take_off(level.ledger(), bytes, external);
            #[cfg(feature = "alloc")]
            if let Some(credit) = M::above(&level.0) {
                crossed |= credit.uncharge_quietly(bytes, external).0;
            }
        }
        Crossed(crossed)
    }

    /// [`Account::watch`] where there are accounts above.
    fn watch_levels(&self) {
        /// Those that are still to be looked at, also if a handler panics.
        struct Left<'a, M: Mode>(Option<&'a Account<M>>, Option<&'a Account>);
        impl<M: Mode> Left<'_, M> {
            fn watch(&mut self) {
                while let Some(level) = self.0 {
                    self.0 = level.parent();
                    level.watch_level();
                }
                if let Some(above) = self.1.take() {
                    above.watch();
                }
            }
        }
        impl<M: Mode> Drop for Left<'_, M> {
            fn drop(&mut self) {
                self.watch();
            }
        }
        Left(Some(self), self.above()).watch();
    }
}
