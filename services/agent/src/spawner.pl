use strict;
use POSIX ();
use Fcntl qw(O_RDONLY O_WRONLY O_RDWR O_APPEND O_CREAT O_DIRECTORY O_EXCL O_TRUNC O_NONBLOCK O_NOFOLLOW);

# The process that workers are forked from. Forking costs time by the memory of who forks, and this holds next to nothing.
#
# Orders come on standard input: four bytes of length, four of the text's length, the text (fields that end with NUL), and
# the content of files, one behind the other. The fields of a start: "start", id, mark, uid and gid (both empty: stay who
# we are), folder, output pipe, exit record; then, each list behind its length: groups, steps (what is made, path, mode,
# uid, gid, size of the content), variables, words that stand before; then the words. Of a removal: "remove", id; then of each attempt: checkpoint
# and link (or empty), whether that may be used again, number of folders, these. Nothing in an order is ever read by a shell. Reports go to standard
# output, a line each:
#   started ID PID STARTTIME | exited ID CODE SIGNAL | failed ID REASON | gone ID | removed ID
#
# Arguments: what is never read, as a shim's name takes its place and needs room there; a folder for what is kept.
#
# Each worker has a shim: a copy of this process that leads the worker's session, stays who it is (so the worker can
# neither end it nor write its record), waits for the worker, and keeps its exit record whatever happens to the others.

# A record tells its start by the id, so the file is cut only now and then.
my $RECORD_CAP = 8192;
# How soon it is noticed that a shim was killed.
my $REAP_SECONDS = 0.2;
my $READ_BYTES = 65536;

# Empty folders kept of each kind, and how large one may have grown.
my $MAX_KEPT = 256;
my $FOLDER_BYTES = 4096;

# F_SETPIPE_SZ, which perl's modules don't name.
my $SET_PIPE_SIZE = 1031;

# Run when the privileges are gone: the variables from descriptor 3, then the program.
my $UNWRAP = <<'END';
$SIG{FPE} = 'DEFAULT';
open my $from, '<&=', 3;
%ENV = map { split /=/, $_, 2 } split /\0/, do { local $/; <$from> };
close $from;
exec { $ARGV[0] } @ARGV;
syswrite STDERR, "muster: $ARGV[0]: $!\n";
exit($!{ENOENT} ? 127 : 126);
END

my $parent = $$;
my $me = $>;
my $own_group = (split / /, $))[0];
my $pool = $ARGV[1];
my %kept = (worker => [], job => []);
my $kept_names = 0;
my %shims;

# Nothing that is sent to a worker's whole session may end its shim; the worker itself begins with an empty mask.
my $all = POSIX::SigSet->new;
$all->fillset;
my $none = POSIX::SigSet->new;
POSIX::sigprocmask(POSIX::SIG_SETMASK(), $all);
# perl ignores it, and that would be inherited
$SIG{FPE} = 'DEFAULT';

# What whoever started the agent left open is no business of workers.
if (opendir my $open, '/proc/self/fd') {
    for (readdir $open) { POSIX::close($_) if /^\d+$/ && $_ > 2 && $_ != fileno $open }
}

# Both are closed in workers; what those get instead of them is this process's own.
open my $orders, '<&', \*STDIN or die "orders: $!";
open my $reports, '>&', \*STDOUT or die "reports: $!";
open STDIN, '<', '/dev/null' or die "/dev/null: $!";
open STDOUT, '>&', \*STDERR or die "standard output: $!";
my $order_bits = '';
vec($order_bits, fileno $orders, 1) = 1;

# Short enough to be written whole or not at all, however many write.
sub report { return syswrite $reports, "@_\n" }

sub failed {
    my ($id, $reason) = @_;
    $reason =~ tr/\n/ /;
    report('failed', $id, $reason);
    POSIX::_exit(1);
}

# What the program itself would say if it couldn't begin: into its output.
sub give_up {
    my ($code, $reason) = @_;
    syswrite STDERR, "muster: $reason\n";
    POSIX::_exit($code);
}

sub become {
    my ($uid, $gid) = @_;
    $! = 0;
    $) = "$gid $gid";
    give_up(125, "could not leave its groups: $!") if $! || $) ne "$gid $gid";
    POSIX::setgid($gid) or give_up(125, "could not become its group: $!");
    POSIX::setuid($uid) or give_up(125, "could not become its user: $!");
    give_up(125, 'is still privileged') if $< != $uid || $> != $uid || POSIX::setuid(0);
}

# An inode costs as much as forking does on file systems that don't give out the numbers of deleted ones at once. So
# folders in which nothing is left are kept, as this process's own and where nobody else gets, and used for later workers.
sub own { return chown $me, $own_group, $_[0] }

sub entries {
    opendir my $folder, $_[0] or return ('?');
    return grep { $_ ne '.' && $_ ne '..' } readdir $folder;
}

# A folder that is as it was made.
sub fresh {
    my ($path, $mode) = @_;
    return lstat $path && -d _ && ((lstat _)[2] & 07777) == $mode && -s _ <= $FOLDER_BYTES;
}

sub keep {
    my ($kind, $path) = @_;
    my $kept = "$pool/$parent-" . $kept_names++;
    return rename($path, $kept) && push @{$kept{$kind}}, $kept;
}

# A worker's folder with nothing but a token that nothing else leads to.
sub keep_worker {
    my ($folder) = @_;
    return @{$kept{worker}} < $MAX_KEPT && fresh($folder, 0700) && own($folder) && "@{[entries($folder)]}" eq 'token'
        && lstat "$folder/token" && -f _ && own("$folder/token") && chmod(0600, "$folder/token") && (lstat "$folder/token")[3] == 1 && keep('worker', $folder);
}

# A job's checkpoint folder with nothing but an attempt's empty one.
sub keep_job {
    my ($job, $attempt) = @_;
    return @{$kept{job}} < $MAX_KEPT && fresh($job, 0711) && "@{[entries($job)]}" eq $attempt && fresh("$job/$attempt", 0700)
        && own("$job/$attempt") && !entries("$job/$attempt") && rename("$job/$attempt", "$job/attempt") && keep('job', $job);
}

# These two say what is wrong, or nothing.
sub ensure {
    my ($path, $mode, $uid, $gid) = @_;
    if (mkdir $path, $mode) {
        return '' if $uid == $me;
        # through a descriptor: never what a link leads to
        my $made;
        return sysopen($made, $path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) && chown($uid, $gid, $made) ? '' : "$path: $!";
    }
    return "$path: $!" if $! != POSIX::EEXIST();
    return lstat $path && -d _ && (lstat _)[4] == $uid ? '' : "$path is there but is not a folder of user $uid";
}

sub make_checkpoint {
    my ($path, $mode, $uid, $gid) = @_;
    my ($job, $attempt) = $path =~ m{^(.*)/([^/]+)\z}s or return "$path is no path";
    if (my $kept = pop @{$kept{job}}) {
        # an empty folder may be replaced, no other
        return '' if chown($uid, $gid, "$kept/attempt") && rename($kept, $job) && rename("$job/attempt", $path);
        push @{$kept{job}}, $kept if -d $kept && own("$kept/attempt");
    }
    return ensure($job, 0711, $me, $own_group) || ensure($path, $mode, $uid, $gid);
}

# As steps.ts does it where there is no perl; that says what the kinds of steps are for.
sub take_steps {
    my ($id, $steps, $contents, $kept) = @_;
    for (@$steps) {
        my ($make, $path, $mode, $uid, $gid, $size) = @$_;
        my $others = $uid != $me;
        if ($make eq 'ensure') {
            my $wrong = ensure($path, $mode, $uid, $gid);
            failed($id, $wrong) if $wrong ne '';
        }
        elsif ($make eq 'folder') { ($kept ? rename $kept, $path : mkdir $path, $mode) or failed($id, "$path: $!") }
        elsif ($make eq 'own') { !$others || chown $uid, $gid, $path or failed($id, "$path: $!") }
        else {
            my $plain = !($mode & ~0600);
            # of a folder that was kept the token is still there
            my $flags = O_WRONLY | O_CREAT | O_NOFOLLOW | ($kept && $path =~ m{/token\z} ? O_TRUNC : O_EXCL);
            sysopen my $file, $path, $flags, $plain ? $mode : 0600 or failed($id, "$path: $!");
            my $content = substr $$contents, 0, $size, '';
            $size == 0 || (syswrite($file, $content) // 0) == $size or failed($id, "$path: $!");
            $plain && !$kept || chmod $mode, $file or failed($id, "$path: $!");
            !$others || chown $uid, $gid, $file or failed($id, "$path: $!");
        }
    }
}

sub work {
    my ($order, $pipe) = @_;
    POSIX::dup2(fileno $pipe, 1);
    POSIX::dup2(fileno $pipe, 2);
    for my $list (@{$order->{groups}}) {
        my $group;
        sysopen($group, $list, O_WRONLY) && syswrite($group, '0') or give_up(125, "could not join its control group: $!");
    }
    become($order->{uid}, $order->{gid}) if $order->{uid} ne '';
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $none);
    my @words = @{$order->{words}};
    if (my @wrap = @{$order->{wrap}}) {
        # what is still privileged sees nothing of the worker's variables, some of which could run other code in it
        pipe my $from, my $to or give_up(125, "no pipe could be made: $!");
        my $variables = join "\0", @{$order->{env}};
        fcntl $to, $SET_PIPE_SIZE, length $variables if length $variables > $READ_BYTES;
        $to->blocking(0);
        (syswrite($to, $variables) // 0) == length $variables or give_up(125, 'its environment is too large');
        close $to;
        POSIX::dup2(fileno $from, 3);
        %ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL => 'C.UTF-8');
        exec { $wrap[0] } @wrap, $^X, '-e', $UNWRAP, @words;
        give_up(126, "$wrap[0]: $!");
    }
    %ENV = map { split /=/, $_, 2 } @{$order->{env}};
    exec { found($words[0]) } @words;
    exec { $words[0] } @words;
    give_up($! == POSIX::ENOENT() ? 127 : 126, "$words[0]: $!");
}

# A look costs a tenth of an exec that fails.
sub found {
    my ($word) = @_;
    return $word if $word =~ m{/};
    for (split /:/, $ENV{PATH} // '') { return "$_/$word" if m{^/} && -f "$_/$word" && -x _ }
    return $word;
}

# A pipe's content goes with the last who holds the pipe: it is moved into a file for the next agent.
sub keep_output {
    my ($path) = @_;
    sysopen(my $from, $path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW) or return;
    sysopen(my $rest, "$path.rest", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600) or return;
    while (sysread $from, my $data, $READ_BYTES) {
        for (my $at = 0; $at < length $data;) { $at += syswrite($rest, $data, length($data) - $at, $at) || return }
    }
}

sub shim {
    my ($order) = @_;
    my $id = $order->{id};
    close $orders;
    POSIX::setsid();
    $0 = "muster-worker $order->{mark}";
    take_steps(@$order{qw(id steps contents kept)});
    chdir $order->{cwd} or failed($id, "its folder can't be entered: $!");
    # open for reading too: a worker so keeps it alive through the agent's death, and never meets SIGPIPE
    sysopen(my $pipe, $order->{out}, O_RDWR | O_NOFOLLOW) or failed($id, "its output pipe can't be opened: $!");
    my $pid = fork;
    failed($id, "no process could be made: $!") if !defined $pid;
    work($order, $pipe) if !$pid;

    my ($stat, $line);
    sysopen($stat, '/proc/self/stat', O_RDONLY) && sysread $stat, $line, 4096;
    report('started', $id, $$, (split / /, substr $line, rindex($line, ')') + 2)[19]);
    close $stat;
    waitpid $pid, 0;
    my ($code, $signal) = ($? >> 8, $? & 127);
    keep_output($order->{out}) if getppid != $parent;
    if (sysopen(my $record, $order->{record}, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600)) {
        truncate $record, 0 if -s $record > $RECORD_CAP;
        syswrite $record, $signal ? "$id !$signal\n" : "$id =$code\n";
    }
    report('exited', $id, $code, $signal) or keep_output($order->{out});
    POSIX::_exit(0);
}

sub start {
    my ($fields, $contents) = @_;
    my %order = (contents => $contents);
    my $list = sub { my $length = shift @$fields; return splice @$fields, 0, $length * ($_[0] // 1) };
    @order{qw(id mark uid gid cwd out record)} = splice @$fields, 0, 7;
    $order{groups} = [$list->()];
    my @steps = $list->(6);
    $order{steps} = [map { [splice @steps, 0, 6] } 1 .. @steps / 6];
    # not in the shim: whoever removes the folder around it must not do so meanwhile
    my @checkpoints = grep { $_->[0] eq 'checkpoint' } @{$order{steps}};
    $order{steps} = [grep { $_->[0] ne 'checkpoint' } @{$order{steps}}];
    for (@checkpoints) {
        my $wrong = make_checkpoint(@$_[1 .. 4]);
        return report('failed', $order{id}, $wrong =~ tr/\n/ /r) if $wrong ne '';
    }
    $order{kept} = pop @{$kept{worker}} if grep { $_->[0] eq 'folder' } @{$order{steps}};
    $order{env} = [$list->()];
    $order{wrap} = [$list->()];
    $order{words} = $fields;
    my $pid = fork;
    if (!defined $pid) { report('failed', $order{id}, "no process could be made: $!") }
    elsif ($pid) { $shims{$pid} = $order{id} }
    else { shim(\%order) }
}

sub remove {
    my ($fields) = @_;
    my $id = shift @$fields;
    my @rest;
    while (@$fields) {
        my ($checkpoint, $link, $reusable, $count) = splice @$fields, 0, 4;
        for my $folder (splice @$fields, 0, $count) {
            next if keep_worker($folder);
            unlink "$folder/token";
            rmdir $folder or push @rest, $folder;
        }
        next if $checkpoint eq '';
        my ($job, $attempt) = $checkpoint =~ m{^(.*)/([^/]+)\z}s or next;
        # one that holds anything stays, and so does what leads to it
        next if entries($checkpoint);
        unlink $link;
        $reusable && keep_job($job, $attempt) || rmdir $checkpoint && rmdir $job;
    }
    if (@rest) {
        # walking may take its time; without another process this one does it
        my $pid = fork;
        return if $pid;
        # rm walks by descriptors, so a link planted meanwhile leads it nowhere
        $ENV{PATH} = '/usr/bin:/bin';
        system { 'rm' } 'rm', '-rf', '--', @rest;
        report('removed', $id);
        POSIX::_exit(0) if defined $pid;
        return;
    }
    report('removed', $id);
}

# A shim that ends by itself has reported; of one that was killed this tells.
sub reap {
    while ((my $pid = waitpid -1, POSIX::WNOHANG()) > 0) {
        my $id = delete $shims{$pid};
        report('gone', $id) if $? && defined $id;
    }
}

report('ready');
my $buffer = '';
for (;;) {
    my $there = select my $ready = $order_bits, undef, undef, %shims ? $REAP_SECONDS : undef;
    reap();
    next if $there <= 0;
    # the agent's end: shims go on alone
    sysread $orders, $buffer, $READ_BYTES, length $buffer or last;
    while (length $buffer >= 4) {
        my $length = unpack 'N', $buffer;
        last if length $buffer < 4 + $length;
        my $text = unpack 'N', substr $buffer, 4, 4;
        my @fields = split /\0/, substr($buffer, 8, $text), -1;
        pop @fields;
        if (shift @fields eq 'start') { start(\@fields, \substr $buffer, 8 + $text, $length - 4 - $text) }
        else { remove(\@fields) }
        substr $buffer, 0, 4 + $length, '';
    }
}
