// Forced into every source that mutate.py compiles: all mutants of a build are in one program, and MUTANT=<number> in
// the environment switches one on; without it the program is the original. A mutant that has two forms owns two
// numbers, `first` and the next.
#pragma once

#include <cstdlib>

namespace gridstep::mutants {

inline int number_in_environment() {
  const char* const text = std::getenv("MUTANT");
  return text == nullptr ? -1 : std::atoi(text);
}
inline const int kChosen = number_in_environment();

inline bool on(int mutant) { return kChosen == mutant; }

// 1 beside an addition's or subtraction's right operand; -1 turns the one into the other.
inline int sign(int mutant) { return on(mutant) ? -1 : 1; }

// Added to a bound: one more, or one less.
inline int bound(int first) { return on(first) ? 1 : on(first + 1) ? -1 : 0; }

// A choice's condition: always, or never.
inline bool choice(int first, bool condition) { return on(first) || (condition && !on(first + 1)); }

// A shuffle's distance: twice as far, or one lane further.
template <class T>
T distance(int first, T lanes) {
  return on(first) ? lanes * 2 : on(first + 1) ? lanes + 1 : lanes;
}

// A shuffle's mask without its last lane.
inline unsigned lanes(int mutant, unsigned mask) { return on(mutant) ? mask >> 1 : mask; }

// The right operand of a remainder: twice as large.
template <class T>
T modulus(int mutant, T value) {
  return on(mutant) ? value * 2 : value;
}

// The right operand of `&`: without its lowest bit.
template <class T>
T bits(int mutant, T value) {
  return on(mutant) ? value & (value - 1) : value;
}

// An atomic function, or what it does in steps that another thread may come between.
#define GS_MUTANT_ATOMIC(name, mutant, ...) \
  (::gridstep::mutants::on(mutant) ? ::gridstep::mutants::plain_##name(__VA_ARGS__) : name(__VA_ARGS__))
template <class T, class V>
T plain_atomicAdd(T* address, V value) {
  const T old = *address;
  *address = old + static_cast<T>(value);
  return old;
}
inline unsigned plain_atomicInc(unsigned* address, unsigned last) {
  const unsigned old = *address;
  *address = old >= last ? 0 : old + 1;
  return old;
}
template <class T, class V>
T plain_atomicCAS(T* address, V compare, V value) {
  const T old = *address;
  if (old == compare) *address = value;
  return old;
}

}  // namespace gridstep::mutants
