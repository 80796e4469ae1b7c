/* SPDX-License-Identifier: MIT */
/* See kshim.h. main() runs the suites as the kernel does when it loads their module. */
#include "kshim.h"

#include <stdlib.h>
#include <time.h>

static unsigned long leaked;

void kshim_print(const char *level, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	printf("%s: %s", level, line);
	fflush(stdout);
}

/* An object is preceded by what its delayed freeing needs. */
struct slab_obj {
	struct rcu_head rcu;
	_Alignas(16) char data[];
};

struct kmem_cache {
	size_t size;
	unsigned int flags;
	atomic64_t live;
};

struct kmem_cache *kshim_cache_create(size_t size, unsigned int flags)
{
	struct kmem_cache *cache = sv_zalloc(sizeof(*cache));

	if (cache) {
		cache->size = size;
		cache->flags = flags;
	}
	return cache;
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	struct slab_obj *obj = sv_alloc(sizeof(*obj) + cache->size);

	if (!obj)
		return NULL;
	atomic64_inc(&cache->live);
	return obj->data;
}

static void slab_free_rcu(struct rcu_head *rcu)
{
	sv_free(container_of(rcu, struct slab_obj, rcu));
}

void kmem_cache_free(struct kmem_cache *cache, void *p)
{
	struct slab_obj *obj = container_of(p, struct slab_obj, data);

	atomic64_dec(&cache->live);
	if (cache->flags & SLAB_TYPESAFE_BY_RCU)
		call_rcu(&obj->rcu, slab_free_rcu);
	else
		sv_free(obj);
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	rcu_barrier();
	if (atomic64_read(&cache->live)) {
		printf("error: %lld objects of a cache were never freed\n",
		       (long long)atomic64_read(&cache->live));
		leaked += (unsigned long)atomic64_read(&cache->live);
	}
	sv_free(cache);
}

struct task_struct {
	struct sv_thread thread;
	int (*fn)(void *data);
	void *data;
	bool should_stop;
	int ret;
	struct sv_mutex m;	/* over state */
	struct sv_cond c;
	int state;
};

static __thread struct task_struct *self;

static struct task_struct *task_new(void)
{
	struct task_struct *task = sv_zalloc(sizeof(*task));

	if (!task)
		abort();
	sv_mutex_init(&task->m);
	sv_cond_init(&task->c);
	return task;
}

struct task_struct *kshim_current(void)
{
	if (!self)
		self = task_new();
	return self;
}

void kshim_set_state(int state)
{
	struct task_struct *task = current;

	sv_mutex_lock(&task->m);
	task->state = state;
	sv_mutex_unlock(&task->m);
}

int wake_up_process(struct task_struct *task)
{
	int woken;

	sv_mutex_lock(&task->m);
	woken = task->state != TASK_RUNNING;
	task->state = TASK_RUNNING;
	sv_cond_signal(&task->c);
	sv_mutex_unlock(&task->m);
	return woken;
}

long schedule_timeout(long timeout)
{
	u64 deadline = timeout == MAX_SCHEDULE_TIMEOUT ? ~0ull :
		       (u64)ktime_get() + (u64)timeout * (1000000000 / HZ);
	struct task_struct *task = current;
	s64 left;

	sv_mutex_lock(&task->m);
	while (task->state != TASK_RUNNING)
		if (sv_cond_wait_until(&task->c, &task->m, deadline))
			break;
	task->state = TASK_RUNNING;
	sv_mutex_unlock(&task->m);
	if (timeout == MAX_SCHEDULE_TIMEOUT)
		return timeout;
	left = ((s64)deadline - ktime_get()) / (1000000000 / HZ);
	return left < 0 ? 0 : (long)left;
}

static void *task_main(void *arg)
{
	self = arg;
	self->ret = self->fn(self->data);
	return NULL;
}

struct task_struct *kthread_run(int (*fn)(void *data), void *data, const char *fmt, ...)
{
	struct task_struct *task = task_new();
	char name[32];
	va_list ap;
	int err;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	task->fn = fn;
	task->data = data;
	err = sv_thread_create(&task->thread, name, task_main, task);
	if (err) {
		sv_free(task);
		return ERR_PTR(err);
	}
	return task;
}

bool kthread_should_stop(void)
{
	return __atomic_load_n(&current->should_stop, __ATOMIC_ACQUIRE);
}

int kthread_stop_put(struct task_struct *task)
{
	int ret;

	__atomic_store_n(&task->should_stop, true, __ATOMIC_RELEASE);
	wake_up_process(task);
	sv_thread_join(&task->thread);
	ret = task->ret;
	sv_free(task);
	return ret;
}

void msleep(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

static struct sv_mutex var_lock = SV_MUTEX_INIT;
static struct sv_cond var_cond = SV_COND_INIT;

void kshim_var_lock(void)
{
	sv_mutex_lock(&var_lock);
}

void kshim_var_unlock(void)
{
	sv_mutex_unlock(&var_lock);
}

bool kshim_var_sleep(u64 deadline_ns)
{
	return !sv_cond_wait_until(&var_cond, &var_lock, deadline_ns);
}

void kshim_var_wake(void)
{
	sv_mutex_lock(&var_lock);
	sv_cond_broadcast(&var_cond);
	sv_mutex_unlock(&var_lock);
}

u32 get_random_u32_below(u32 ceil)
{
	static __thread u64 x;

	/* xorshift64*; every thread has its own row. */
	if (!x)
		x = (u64)(uintptr_t)&x * 0x9e3779b97f4a7c15ull | 1;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return (u32)((x * 0x2545f4914f6cdd1dull) >> 33) % ceil;
}

static void timer_fire(struct sv_timer *t)
{
	struct timer_list *timer = container_of(t, struct timer_list, t);

	timer->fn(timer);
}

void timer_setup_on_stack(struct timer_list *timer, void (*fn)(struct timer_list *timer),
			  unsigned int flags)
{
	timer->fn = fn;
	sv_timer_init(&timer->t, timer_fire);
}

void mod_timer(struct timer_list *timer, unsigned long expires)
{
	if (sv_timer_set(&timer->t, (u64)expires * (1000000000 / HZ)))
		abort();
}

bool timer_pending(struct timer_list *timer)
{
	return READ_ONCE(timer->t.deadline) != ~0ull;
}

void del_timer_sync(struct timer_list *timer)
{
	sv_timer_cancel_sync(&timer->t);
}

int main(void)
{
	int err = kshim_init();

	kshim_exit();
	if (err || leaked) {
		printf("FAIL: %d, %lu leaked objects\n", err, leaked);
		return 1;
	}
	printf("PASS\n");
	return 0;
}
