from django.urls import path

from . import views

app_name = "home"
urlpatterns = [
    path("", views.home, name="home"),
    path("search/", views.search, name="search"),
    path("customers/", views.customer_list, name="customer-list"),
    path("customers/<int:pk>/home/", views.customer_home, name="customer-home"),
    path("customers/<int:pk>/report/", views.customer_report, name="customer-report"),
    path("people/<int:pk>/effective-access/", views.person_effective_access, name="effective-access"),
]
