// SIGINT and SIGTERM: the first asks for a stop at the next step boundary, a second one ends the process at once.
#pragma once

namespace gridstep {

void install_interrupt_handlers();
bool interrupt_requested() noexcept;

}  // namespace gridstep
