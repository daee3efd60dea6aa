//! Sounds that are decoded once.

use crate::support::{close, live, until};
use js_sys::{ArrayBuffer, Uint8Array};
use pool_web::{AudioMemory, SampleCache, WebError};
use std::task::{Context, Waker};
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::AudioContext;

/// A mono WAV file of 16 bits with so many frames, at the rate of the tests.
fn wav(frames: u32) -> ArrayBuffer {
    let mut bytes = Vec::new();
    let data = frames * 2;
    bytes.extend(b"RIFF");
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    for half in [1_u16, 1] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(48_000_u32.to_le_bytes());
    bytes.extend(96_000_u32.to_le_bytes());
    for half in [2_u16, 16] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend(data.to_le_bytes());
    bytes.resize(bytes.len() + data as usize, 0x20);
    Uint8Array::from(bytes.as_slice()).buffer()
}

// Decoded again and again, a sound costs its time and its memory each time.
#[wasm_bindgen_test]
async fn a_sound_is_decoded_once() {
    let context = live().await;
    let memory = AudioMemory::new();
    let sounds = SampleCache::new(&context, &memory);
    assert!(sounds.get("kick").is_none());
    let kick = sounds.decode("kick", wav(4800)).await.expect("a sound");
    assert_eq!((kick.id(), kick.number_of_channels()), ("kick", 1));
    let bytes = kick.length() as usize * 4;
    assert_eq!((memory.used(), memory.stats().leased), (bytes, bytes));
    let again = sounds.decode("kick", ArrayBuffer::new(0)).await.expect("it is there: nothing is decoded");
    assert!(js_sys::Object::is(&kick, &again));
    let third = again.clone();
    drop((kick, again));
    assert_eq!(memory.stats().leased, bytes, "one lease is left");
    drop(third);
    assert_eq!((memory.stats().leased, memory.stats().idle), (0, bytes));
    let stats = sounds.stats();
    assert_eq!((stats.created, stats.hits, stats.misses, stats.idle), (1, 1, 2, 1));
    sounds.clear();
    assert_eq!((memory.used(), sounds.stats().evicted), (0, 1));
    drop(sounds);
    close(&context).await;
}

// Two voices that ask at the same moment must not decode twice.
#[wasm_bindgen_test]
async fn decodings_under_way_are_shared() {
    let context = live().await;
    let sounds = SampleCache::new(&context, &AudioMemory::new());
    let first = {
        let sounds = sounds.clone();
        wasm_bindgen_futures::future_to_promise(async move {
            let lease = sounds.decode("snare", wav(480)).await.map_err(wasm_bindgen::JsValue::from)?;
            Ok((*lease).clone().into())
        })
    };
    let second = sounds.decode("snare", wav(480)).await.expect("a sound");
    let first = wasm_bindgen_futures::JsFuture::from(first).await.expect("a sound");
    assert!(js_sys::Object::is(&first, &second));
    assert_eq!(sounds.stats().created, 1);
    close(&context).await;
}

// What cannot be decoded must cost nothing, and not be remembered.
#[wasm_bindgen_test]
async fn what_cannot_be_decoded_is_an_error() {
    let context = live().await;
    let memory = AudioMemory::new();
    let sounds = SampleCache::new(&context, &memory);
    match sounds.decode("noise", ArrayBuffer::new(7)).await.map(drop) {
        Err(WebError::Exception(e)) => {
            assert_eq!((e.operation, &*e.name), ("decodeAudioData", "EncodingError"))
        }
        other => panic!("{other:?}"),
    }
    let error = sounds.decode_url("/there-is-no-such-sound").await.map(drop);
    assert!(
        matches!(error, Err(WebError::Exception(e)) if e.operation == "fetch" && e.message.contains("404"))
    );
    assert_eq!((memory.used(), sounds.stats().created), (0, 0));
    assert!(sounds.decode("noise", wav(480)).await.is_ok(), "it may be tried again");
    close(&context).await;
}

/// A budget that three sounds fill, a cache under it with the idle sounds "a", "b" and "c", and the bytes of each.
async fn three_that_fit(context: &AudioContext) -> (AudioMemory, SampleCache, usize) {
    let probe = SampleCache::new(context, &AudioMemory::new());
    let bytes = probe.decode("probe", wav(4800)).await.expect("a sound").length() as usize * 4;
    let memory = AudioMemory::builder().budget(3 * bytes).build();
    let sounds = SampleCache::new(context, &memory);
    for id in ["a", "b", "c"] {
        drop(sounds.decode(id, wav(4800)).await.expect("a sound"));
    }
    (memory, sounds, bytes)
}

// The sound that was used longest ago goes, one that plays never, and pools of the budget get the room.
#[wasm_bindgen_test]
async fn idle_sounds_make_room_in_lru_order() {
    let context = live().await;
    let (memory, sounds, bytes) = three_that_fit(&context).await;
    drop(sounds.get("a").expect("it is there"));
    let held = sounds.get("b").expect("it is there");
    let new = sounds.decode("d", wav(4800)).await.expect("a sound");
    assert!(sounds.get("c").is_none(), "used longest ago, and idle");
    assert!(sounds.get("a").is_some() && memory.stats().overcommitted == 0);
    let more = sounds.decode("e", wav(4800)).await.expect("a sound");
    assert!(sounds.get("a").is_none());
    let over = sounds.decode("f", wav(4800)).await.expect("what exists is counted, whether it fits or not");
    assert_eq!(memory.stats().overcommitted, bytes);
    drop(over);
    assert_eq!((memory.stats().overcommitted, memory.used()), (0, 3 * bytes));
    drop((held, new, more));
    let buffers = pool_web::AudioBufferPool::builder(&context).memory(&memory).build();
    let length = (2 * bytes / 4) as u32;
    assert!(buffers.acquire_at_context_rate(1, length).is_ok(), "idle sounds make room for pools");
    assert_eq!(sounds.stats().idle, 1);
    close(&context).await;
}

// A release that happened long ago and is taken for the latest one, or that takes it along when it is forgotten.
#[wasm_bindgen_test]
async fn the_order_is_that_of_the_last_releases() {
    let context = live().await;
    let (memory, sounds, bytes) = three_that_fit(&context).await;
    for round in 0..50 {
        for id in ["a", "b", "c"] {
            drop(sounds.get(id).expect("it is there"));
        }
        // Of every number of releases that may be remembered.
        for _ in 0..round % 5 {
            drop(sounds.get("a").expect("it is there"));
        }
    }
    drop(sounds.get("a").expect("it is there"));
    let held = sounds.decode("d", wav(4800)).await.expect("a sound");
    assert!(sounds.get("b").is_none() && sounds.stats().idle == 2);
    let more = sounds.decode("e", wav(4800)).await.expect("a sound");
    assert!(sounds.get("c").is_none() && sounds.get("a").is_some());
    assert_eq!((memory.used(), sounds.stats().evicted), (3 * bytes, 2));
    drop((held, more));
    close(&context).await;
}

// Somebody who gave up waiting left a sound behind that was nobody's and never went.
#[wasm_bindgen_test]
async fn a_sound_that_nobody_waits_for_any_more_is_idle() {
    let context = live().await;
    let memory = AudioMemory::new();
    let sounds = SampleCache::new(&context, &memory);
    let mut waiting = Box::pin(sounds.decode("lost", wav(480)));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(waiting);
    until("it is decoded", || memory.used() > 0).await;
    until("nobody has it", || memory.stats().leased == 0).await;
    sounds.clear();
    assert_eq!((memory.used(), sounds.stats().evicted), (0, 1));
    close(&context).await;
}
