//! Objects by key, from a map in order of recency.

use super::{Contender, Kind, Workload};
use crate::ours::{PACKAGE, lease_each};
use crate::source::{Buffer, buffer, touch};
use hashbrown::{DefaultHashBuilder, HashTable};
use hashlink::LruCache;
use pool_core::{Account, Factory, KeyedPool};
use schnellru::{ByLength, LruMap};
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::mem;
use std::num::NonZeroUsize;

pub(crate) const HITS: &str = "keyed-hits";
pub(crate) const EVICTING: &str = "keyed-evicting";
/// What no contender can be faster than.
pub(crate) const DECIDED: &str = "allocator and zeros alone";
/// What a pool would take that is for nothing else.
pub(crate) const BY_HAND: &str = "table, list and count by hand";

/// The sequence of keys, used from its start again when it is over.
const SEQUENCE: usize = 16_384;
const KEYS: u32 = 64;
/// Bytes that fit, where they do not all.
const BUDGET: usize = 256 * 1024;

/// A fixed pseudo-random sequence, the same for all: Zipf with exponent 1, a few keys much used.
fn keys(distinct: u32) -> Vec<u32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..SEQUENCE)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // By inversion.
            let uniform = (state >> 11) as f64 / (1u64 << 53) as f64;
            ((f64::from(distinct) + 1.0).powf(uniform) - 1.0) as u32
        })
        .collect()
}

/// So many keys of the sequence, over and over, to what works them off.
fn over_and_over(keys: Vec<u32>, mut run: impl FnMut(&[u32])) -> impl FnMut(usize) {
    let mut next = 0;
    move |operations| {
        let mut left = operations;
        while left > 0 {
            let now = left.min(keys.len() - next);
            run(&keys[next..next + now]);
            next = (next + now) % keys.len();
            left -= now;
        }
    }
}

/// A cache by recency, used as a pool: an object is taken out while it is used.
trait Recency<V> {
    fn remove(&mut self, key: u32) -> Option<V>;
    fn insert(&mut self, key: u32, object: V);
    fn remove_oldest(&mut self) -> Option<V>;
}

impl<V> Recency<V> for LruCache<u32, V> {
    #[inline]
    fn remove(&mut self, key: u32) -> Option<V> {
        LruCache::remove(self, &key)
    }
    #[inline]
    fn insert(&mut self, key: u32, object: V) {
        LruCache::insert(self, key, object);
    }
    #[inline]
    fn remove_oldest(&mut self) -> Option<V> {
        self.remove_lru().map(|(_, object)| object)
    }
}

impl<V> Recency<V> for lru::LruCache<u32, V> {
    #[inline]
    fn remove(&mut self, key: u32) -> Option<V> {
        self.pop(&key)
    }
    #[inline]
    fn insert(&mut self, key: u32, object: V) {
        self.put(key, object);
    }
    #[inline]
    fn remove_oldest(&mut self) -> Option<V> {
        self.pop_lru().map(|(_, object)| object)
    }
}

impl<V> Recency<V> for LruMap<u32, V, ByLength> {
    #[inline]
    fn remove(&mut self, key: u32) -> Option<V> {
        LruMap::remove(self, &key)
    }
    #[inline]
    fn insert(&mut self, key: u32, object: V) {
        LruMap::insert(self, key, object);
    }
    #[inline]
    fn remove_oldest(&mut self) -> Option<V> {
        self.pop_oldest().map(|(_, object)| object)
    }
}

/// Every key stays.
fn roomy<V>() -> (LruCache<u32, V>, LruMap<u32, V, ByLength>, lru::LruCache<u32, V>) {
    let most = NonZeroUsize::new(1024).unwrap_or(NonZeroUsize::MIN);
    (LruCache::new(1024), LruMap::new(ByLength::new(1024)), lru::LruCache::new(most))
}

fn cached(
    name: &'static str,
    package: &'static str,
    keys: &[u32],
    mut cache: impl Recency<Buffer> + 'static,
) -> Contender {
    let run = over_and_over(keys.to_vec(), move |keys| {
        for key in keys {
            let mut object = cache.remove(*key).unwrap_or_else(buffer);
            touch(&mut object, 0);
            cache.insert(*key, object);
        }
    });
    Contender::here(name, Kind::Peer, run).of(package)
}

/// Samples, as many as the key says.
type Sound = Box<[f32]>;

/// From 1 KiB to 32 KiB, so that large and small ones are in as much demand.
fn bytes_of(key: u32) -> usize {
    1024 << (key % 6)
}

fn sound(key: u32) -> Sound {
    vec![0.0; bytes_of(key) / size_of::<f32>()].into_boxed_slice()
}

#[inline(always)]
fn play(sound: &mut Sound) {
    sound[0] = 1.0;
    black_box(&mut **sound);
}

/// A cache that is kept to the budget by hand, as its users have to: before a new object is made, the least recently used
/// go until it fits.
fn within_budget(
    name: &'static str,
    package: &'static str,
    keys: &[u32],
    mut cache: impl Recency<Sound> + 'static,
) -> Contender {
    let mut used = 0;
    let run = over_and_over(keys.to_vec(), move |keys| {
        for key in keys {
            let mut object = cache.remove(*key).unwrap_or_else(|| {
                while used + bytes_of(*key) > BUDGET {
                    let Some(oldest) = cache.remove_oldest() else { break };
                    used -= size_of_val(&*oldest);
                }
                used += bytes_of(*key);
                sound(*key)
            });
            play(&mut object);
            cache.insert(*key, object);
        }
    });
    Contender::here(name, Kind::Peer, run).of(package)
}

/// Makes sounds, and knows beforehand how many bytes they take, as a factory under a budget should.
struct Sounds;

impl Factory<u32> for Sounds {
    type Object = Sound;
    type Error = Infallible;

    fn create(&self, &key: &u32) -> Result<Sound, Infallible> {
        Ok(sound(key))
    }
    fn estimate(&self, &key: &u32) -> usize {
        bytes_of(key)
    }
    fn measure(&self, sound: &Sound) -> usize {
        size_of_val(&**sound)
    }
}

/// What every contender has to do once it is known which sounds go and come: free, allocate, zero, touch. All that keys,
/// orders and bytes decide was decided beforehand.
fn decided(keys: &[u32]) -> impl FnMut(usize) + use<> {
    /// What a key needs: the sounds of these go, and whether its own is made.
    type Step = (Vec<u32>, bool);
    let mut recent: Vec<u32> = Vec::new();
    let mut used = 0;
    let mut pass = || -> Vec<Step> {
        let step = |&key: &u32| {
            let mut gone = Vec::new();
            let known = recent.iter().position(|&other| other == key);
            match known {
                Some(at) => _ = recent.remove(at),
                None => {
                    while used + bytes_of(key) > BUDGET {
                        let oldest = recent.remove(0);
                        used -= bytes_of(oldest);
                        gone.push(oldest);
                    }
                    used += bytes_of(key);
                }
            }
            recent.push(key);
            (gone, known.is_none())
        };
        keys.iter().map(step).collect()
    };
    // The first pass begins with nothing; from then on all are alike.
    let mut sounds: Vec<Option<Sound>> = (0..KEYS).map(|_| None).collect();
    for (key, (gone, made)) in keys.iter().zip(pass()) {
        gone.iter().for_each(|&gone| sounds[gone as usize] = None);
        if made {
            sounds[*key as usize] = Some(sound(*key));
        }
    }
    let steps: Vec<(u32, Step)> = keys.iter().copied().zip(pass()).collect();
    let mut next = 0;
    move |operations| {
        for _ in 0..operations {
            let (key, (gone, made)) = &steps[next];
            gone.iter().for_each(|&gone| sounds[gone as usize] = None);
            let place = &mut sounds[*key as usize];
            if *made {
                *place = Some(sound(*key));
            }
            if let Some(sound) = place {
                play(sound);
            }
            next = if next + 1 == steps.len() { 0 } else { next + 1 };
        }
    }
}

/// No sound: beyond the end of every list.
const NONE: u32 = u32::MAX;

/// A sound of a [`ByHand`], and its neighbours by recency.
struct Entry {
    key: u32,
    newer: u32,
    older: u32,
    hash: u64,
    /// `None` while the entry is vacant.
    sound: Option<Sound>,
}

/// A pool for just this work, as a prototype would be: a table of keys, a list by recency, a count of bytes, and sounds that
/// stay where they are. It has one sound of a key, no account, no lease, and nothing that holds if somebody panics.
#[derive(Default)]
struct ByHand {
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    newest: u32,
    oldest: u32,
    used: usize,
}

impl ByHand {
    fn new() -> Self {
        Self { newest: NONE, oldest: NONE, ..Self::default() }
    }

    #[inline(always)]
    fn unlink(&mut self, at: u32) {
        let Entry { newer, older, .. } = self.entries[at as usize];
        match self.entries.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
    }

    #[inline(always)]
    fn push_newest(&mut self, at: u32) {
        let older = mem::replace(&mut self.newest, at);
        let entry = &mut self.entries[at as usize];
        (entry.newer, entry.older) = (NONE, older);
        match self.entries.get_mut(older as usize) {
            Some(older) => older.newer = at,
            None => self.oldest = at,
        }
    }

    #[inline(always)]
    fn pair(&mut self, key: u32) {
        let hash = self.hasher.hash_one(key);
        let found = self.index.find(hash, |&at| self.entries[at as usize].key == key).copied();
        let at = match found {
            Some(at) => {
                self.unlink(at);
                at
            }
            None => self.make(key, hash),
        };
        if let Some(sound) = &mut self.entries[at as usize].sound {
            play(sound);
        }
        self.push_newest(at);
    }

    #[inline(never)]
    fn make(&mut self, key: u32, hash: u64) -> u32 {
        while self.used + bytes_of(key) > BUDGET && self.oldest != NONE {
            self.evict(self.oldest);
        }
        self.used += bytes_of(key);
        let entry = Entry { key, newer: NONE, older: NONE, hash, sound: Some(sound(key)) };
        let at = match self.vacant.pop() {
            Some(at) => {
                self.entries[at as usize] = entry;
                at
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        self.index.insert_unique(hash, at, |&at| self.entries[at as usize].hash);
        at
    }

    fn evict(&mut self, at: u32) {
        self.unlink(at);
        let Entry { hash, ref mut sound, .. } = self.entries[at as usize];
        let sound = sound.take();
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == at) {
            entry.remove();
        }
        self.vacant.push(at);
        self.used -= sound.as_deref().map_or(0, size_of_val);
    }
}

/// All keys are there.
pub(super) fn hits() -> Workload {
    let keys = keys(KEYS);
    let pool = KeyedPool::new(|_: &u32| Ok::<_, Infallible>(buffer()));
    let run = over_and_over(keys.clone(), move |keys| lease_each(&pool, keys));
    let (hashlink, schnellru, lru) = roomy();
    let contenders = vec![
        Contender::here("KeyedPool", Kind::Ours, run).of(PACKAGE),
        cached("hashlink", "hashlink", &keys, hashlink),
        cached("schnellru", "schnellru", &keys, schnellru),
        cached("lru", "lru", &keys, lru),
    ];
    Workload {
        slug: HITS,
        title: "Keyed, all hits",
        per: "pair",
        note: "64 keys, Zipf; the peers take an object out while it is used and put it back.",
        contenders,
        facts: None,
    }
}

/// About a third of the bytes fits.
pub(super) fn evicting() -> Workload {
    let keys = keys(KEYS);
    // The peers' users count in a variable of their own: so does an account of one thread.
    let pool = KeyedPool::builder(Sounds).account(Account::local("bench", BUDGET)).build();
    let shared = KeyedPool::builder(Sounds).account(Account::new("bench", BUDGET)).build();
    macro_rules! each {
        ($pool:ident) => {
            over_and_over(keys.clone(), move |keys| {
                for key in keys {
                    if let Ok(mut sound) = $pool.acquire(key) {
                        play(&mut sound);
                    }
                }
            })
        };
    }
    let (run, run_shared) = (each!(pool), each!(shared));
    let fresh = over_and_over(keys.clone(), |keys| {
        for key in keys {
            play(&mut sound(*key));
        }
    });
    let mut by_hand = ByHand::new();
    let by_hand = over_and_over(keys.clone(), move |keys| keys.iter().for_each(|key| by_hand.pair(*key)));
    let (hashlink, schnellru, lru) = roomy();
    let contenders = vec![
        Contender::here("KeyedPool", Kind::Ours, run).of(PACKAGE),
        Contender::here("KeyedPool, a shared account", Kind::Ours, run_shared).of(PACKAGE),
        within_budget("hashlink", "hashlink", &keys, hashlink),
        within_budget("schnellru", "schnellru", &keys, schnellru),
        within_budget("lru", "lru", &keys, lru),
        Contender::here("a new one each time", Kind::Fresh, fresh),
        Contender::here(BY_HAND, Kind::Floor, by_hand),
        Contender::here(DECIDED, Kind::Floor, decided(&keys)),
    ];
    Workload {
        slug: EVICTING,
        title: "Keyed, evicting",
        per: "pair",
        note: "64 keys of 1 to 32 KiB, Zipf, 256 KiB; the peers' users count the bytes and evict by hand.",
        contenders,
        facts: None,
    }
}
