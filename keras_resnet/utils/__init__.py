"""What every package needs and none owns: errors, atomic files, progress, recursion."""
