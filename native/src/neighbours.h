// The next hops of the packet link, and their hardware addresses, as the kernel has them.
//
// Nothing here waits. The kernel's neighbour table is read once, and followed by its events (netlink). A packet whose
// next hop has no hardware address yet goes through the kernel's IP layer, which keeps it, asks for the address (ARP,
// neighbour discovery), and sends it. So does now and then one packet to an address that the kernel has not confirmed
// lately: it sees none of the others, and would otherwise forget a neighbour that is in use.
#pragma once
#include <cstdint>
#include <vector>

#include "view.h"

namespace esplane {

// An IP address as two words; an IPv4 address is mapped (::ffff:a.b.c.d), so that both families share a table.
struct AddressKey {
  uint64_t high = 0;
  uint64_t low = 0;
  bool operator==(const AddressKey& other) const { return high == other.high && low == other.low; }
};

AddressKey key_of(const uint8_t* address, bool v6);

// A hash table from addresses to values: open addressing, at most half full. Nothing is removed alone.
template <typename Value>
class AddressTable {
 public:
  explicit AddressTable(uint64_t seed) : seed_(seed) { clear(); }

  Value* find(const AddressKey& key) {
    Slot& slot = slots_[place(key)];
    return slot.used ? &slot.value : nullptr;
  }

  // The value of a key, new and zero where there was none. Pointers to others do not last.
  Value& at(const AddressKey& key) {
    Slot* slot = &slots_[place(key)];
    if (slot->used) return slot->value;
    if (2 * (size_ + 1) > slots_.size()) {
      grow();
      slot = &slots_[place(key)];
    }
    slot->used = true;
    slot->key = key;
    size_++;
    return slot->value;
  }

  size_t size() const { return size_; }

  void clear() {
    slots_.assign(kSmallest, Slot());
    size_ = 0;
  }

 private:
  static constexpr size_t kSmallest = 64;
  struct Slot {
    AddressKey key;
    Value value = Value();
    bool used = false;
  };

  // Where a key is, or would be.
  size_t place(const AddressKey& key) const {
    // Addresses are chosen by others: the seed keeps them from choosing ones that collide.
    uint64_t h = (key.high ^ seed_) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 32 ^ key.low) * 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    const size_t mask = slots_.size() - 1;
    size_t at = static_cast<size_t>(h) & mask;
    while (slots_[at].used && !(slots_[at].key == key)) at = (at + 1) & mask;
    return at;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.used) slots_[place(slot.key)] = slot;
  }

  uint64_t seed_;
  std::vector<Slot> slots_;
  size_t size_ = 0;
};

class Neighbours {
 public:
  // How a packet leaves.
  enum class Way {
    kDirect,  // to a hardware address
    kKernel,  // through the kernel's IP layer
    kNone,    // not at all: its next hop does not answer, and is not asked again yet
  };

  Neighbours();
  ~Neighbours() { shut(); }
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;

  // For packets from `address` with `mark` over an interface, in the namespace of the calling thread. 0 or -errno.
  int open(int index, const char* device, const Bytes& address, int mark);
  void shut();

  // Readable when the kernel has news.
  int events() const { return events_; }
  // A raw socket whose packets take the same route: for Way::kKernel.
  int kernel() const { return kernel_; }

  // Takes over the kernel's news.
  void follow();

  // To be called before the packets of a batch.
  void start_batch();
  // How a packet for `dst` leaves. `mac` gets 6 bytes for Way::kDirect, valid until the next call.
  Way way(const uint8_t* dst, const uint8_t** mac);

 private:
  struct Hop {
    AddressKey address;
    uint8_t mac[6] = {};
    bool known = false;    // it has a hardware address
    bool certain = false;  // the kernel has it too, and has confirmed it lately
    bool told = false;     // the kernel has it
    uint8_t credit = 0;    // packets that the kernel may still get to keep while it asks
    uint32_t wait = 0;     // ms until it is asked for again, when it does not answer
    uint64_t again = 0;    // ms: the next packet from then on goes through the kernel
  };
  struct Route {
    uint32_t hop;
    uint32_t generation;
    uint64_t asked;  // ms
  };

  uint32_t route_to(const AddressKey& key, const uint8_t* dst);
  bool ask_route(const uint8_t* dst, AddressKey* hop);
  uint32_t hop_at(const AddressKey& key);
  bool sweep();
  Way way_over(Hop* hop, const uint8_t** mac);
  void read_table();
  void lose_track();
  void take(const uint8_t* message, size_t len);
  void take_neighbour(const uint8_t* message, size_t len, bool gone);
  void take_device(const uint8_t* message, size_t len);

  int index_ = 0;
  bool v6_ = false;
  uint8_t address_[16] = {};
  uint32_t mark_ = 0;
  int events_ = -1;
  int asks_ = -1;
  int kernel_ = -1;
  bool resolves_ = false;  // Ethernet, with ARP
  bool reading_ = false;   // the table is being read
  bool reread_ = false;    // and has to be read once more
  uint32_t sequence_ = 0;
  uint32_t generation_ = 1;  // of the routes: what was asked before the last change is asked again
  std::vector<Hop> hops_;
  size_t sweep_at_;
  AddressTable<uint32_t> index_of_;  // into hops_
  AddressTable<Route> routes_;
  uint64_t now_ = 0;     // ms, of this batch
  uint32_t budget_ = 0;  // routes that this batch may still ask for
  bool followed_ = false;
};

}  // namespace esplane
