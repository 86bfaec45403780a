// Works in C++, whose names have spaces, angle brackets and semicolons' neighbours:
// g++ -O1 -g -fno-omit-frame-pointer work.cc
#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace shop {
template <typename K, typename V> struct Index {
	std::map<K, std::vector<V>> entries;
	__attribute__((noinline)) void add(const K &k, V v) { entries[k].push_back(v); }
	__attribute__((noinline)) size_t count(const K &k) const {
		auto at = entries.find(k);
		return at == entries.end() ? 0 : at->second.size();
	}
};
}  // namespace shop

volatile size_t sink;

int main() {
	for (int round = 0; round < 12; round++) {
		shop::Index<std::string, int> names;
		shop::Index<int, std::pair<int, int>> numbers;
		for (int i = 0; i < 20000; i++) {
			names.add("name" + std::to_string(i % 997), i);
			numbers.add(i % 499, {i, round});
		}
		auto sum = [&](int from) {
			for (int i = from; i < 2000; i++) sink = sink + names.count("name" + std::to_string(i)) + numbers.count(i);
		};
		sum(round);
	}
}
